/* shadow.c: see shadow.h. */
#include "shadow.h"

#include "alloc.h"
#include "json_out.h"
#include "log.h"
#include "prometheus.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>

static const double bounds[] = {1e-9, 1e-6, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1};
#define N_BOUNDS (sizeof bounds / sizeof *bounds)

typedef struct figures {
    unsigned long rows, disagreements, n_differences, histogram[N_BOUNDS + 1]; /* by |difference| */
    double sum, absolute_sum, largest;
} figures;

struct sv_shadow {
    pthread_mutex_t lock;
    char champion[80], challenger[80]; /* versions; "" when they have none */
    int has_versions;
    figures figures;
    unsigned long failed, rows_logged;
};

int sv_shadow_new(sv_shadow **out)
{
    sv_shadow *shadow = sv_calloc(1, sizeof *shadow);
    if (!shadow)
        return SV_E_MEMORY;
    pthread_mutex_init(&shadow->lock, NULL);
    *out = shadow;
    return 0;
}

void sv_shadow_free(sv_shadow *shadow)
{
    if (!shadow)
        return;
    pthread_mutex_destroy(&shadow->lock);
    sv_free(shadow);
}

/* ---- comparing ---- */

static const char *version_of(const sv_served *served)
{
    return served->identity.version ? served->identity.version : "";
}

static double share(unsigned long part, unsigned long all)
{
    return all ? (double)part / (double)all : 0;
}

static double mean(double sum, unsigned long n)
{
    return n ? sum / (double)n : 0;
}

static void log_figures(sv_shadow *shadow)
{
    const figures *f = &shadow->figures;
    if (f->rows == shadow->rows_logged)
        return;
    shadow->rows_logged = f->rows;
    sv_log(SV_LOG_INFO, "shadow: version %s beside version %s: %lu rows, %lu labels differ (%.3g %%), mean |difference| %.3g, largest %.3g, %lu requests without an answer",
           shadow->challenger, shadow->champion, f->rows, f->disagreements, 100 * share(f->disagreements, f->rows), mean(f->absolute_sum, f->n_differences), f->largest, shadow->failed);
}

void sv_shadow_log(sv_shadow *shadow)
{
    pthread_mutex_lock(&shadow->lock);
    log_figures(shadow);
    pthread_mutex_unlock(&shadow->lock);
}

static void follow_versions(sv_shadow *shadow, const sv_served *champion, const sv_served *challenger)
{
    if (shadow->has_versions && strcmp(shadow->champion, version_of(champion)) == 0 && strcmp(shadow->challenger, version_of(challenger)) == 0)
        return;
    if (shadow->has_versions)
        log_figures(shadow);
    snprintf(shadow->champion, sizeof shadow->champion, "%s", version_of(champion));
    snprintf(shadow->challenger, sizeof shadow->challenger, "%s", version_of(challenger));
    shadow->has_versions = 1;
    shadow->figures = (figures){0};
    shadow->failed = shadow->rows_logged = 0;
}

/* Whether the two labels mean different things: classes are compared by name, since each version numbers its own. */
static int labels_differ(const sv_served *a, double label_a, const sv_served *b, double label_b)
{
    if (isnan(label_a) || isnan(label_b))
        return 0;
    if (a->classes && b->classes)
        return !sv_span_equal(a->classes[(size_t)label_a], b->classes[(size_t)label_b]);
    return label_a != label_b;
}

static void compare_row(figures *f, double difference, int differs, int is_comparable)
{
    f->rows++;
    f->disagreements += (unsigned long)differs;
    if (!is_comparable)
        return;
    double size = fabs(difference);
    size_t b = 0;
    while (b < N_BOUNDS && size > bounds[b])
        b++;
    f->histogram[b]++;
    f->n_differences++;
    f->sum += difference;
    f->absolute_sum += size;
    f->largest = fmax(f->largest, size);
}

void sv_shadow_compare(sv_shadow *shadow, const sv_served *champion, const sv_tapped *by_champion, const sv_served *challenger, const sv_tapped *by_challenger, size_t n)
{
    pthread_mutex_lock(&shadow->lock);
    follow_versions(shadow, champion, challenger);
    for (size_t row = 0; row < n; row++) {
        int differs = labels_differ(champion, by_champion[row].label, challenger, by_challenger[row].label);
        /* of several classes the probabilities of two different ones are not set against each other */
        compare_row(&shadow->figures, by_challenger[row].value - by_champion[row].value, differs, !differs || !champion->classes);
    }
    pthread_mutex_unlock(&shadow->lock);
}

void sv_shadow_failed(sv_shadow *shadow)
{
    pthread_mutex_lock(&shadow->lock);
    shadow->failed++;
    pthread_mutex_unlock(&shadow->lock);
}

/* ---- telling ---- */

static void write_name(const sv_shadow *shadow, sv_buffer *text, const char *metric)
{
    sv_buffer_format(text, "%s{", metric);
    sv_prometheus_label(text, "champion", shadow->champion);
    sv_prometheus_label(text, ",challenger", shadow->challenger);
}

static void write_count(const sv_shadow *shadow, sv_buffer *text, const char *metric, const char *help, unsigned long value)
{
    sv_prometheus_head(text, metric, "counter", help);
    write_name(shadow, text, metric);
    sv_buffer_format(text, "} %lu\n", value);
}

static void write_histogram(const sv_shadow *shadow, sv_buffer *text)
{
    const figures *f = &shadow->figures;
    unsigned long below = 0;
    sv_prometheus_head(text, "solvent_shadow_difference", "histogram", "Difference between the challenger's and the champion's first output, without its sign.");
    for (size_t b = 0; b <= N_BOUNDS; b++) {
        below += f->histogram[b];
        write_name(shadow, text, "solvent_shadow_difference_bucket");
        if (b < N_BOUNDS)
            sv_buffer_format(text, ",le=\"%g\"} %lu\n", bounds[b], below);
        else
            sv_buffer_format(text, ",le=\"+Inf\"} %lu\n", below);
    }
    write_name(shadow, text, "solvent_shadow_difference_sum");
    sv_buffer_format(text, "} %.17g\n", f->absolute_sum);
    write_name(shadow, text, "solvent_shadow_difference_count");
    sv_buffer_format(text, "} %lu\n", f->n_differences);
}

void sv_shadow_write_metrics(sv_shadow *shadow, sv_buffer *text)
{
    pthread_mutex_lock(&shadow->lock);
    if (shadow->has_versions) {
        write_count(shadow, text, "solvent_shadow_rows_total", "Rows that champion and challenger both scored.", shadow->figures.rows);
        write_count(shadow, text, "solvent_shadow_disagreements_total", "Of these, rows whose labels differ.", shadow->figures.disagreements);
        write_count(shadow, text, "solvent_shadow_failed_total", "Requests that one version answered and the other did not.", shadow->failed);
        write_histogram(shadow, text);
    }
    pthread_mutex_unlock(&shadow->lock);
}

static void write_version(sv_buffer *json, const char *name, const sv_shadow *shadow, const char *version)
{
    sv_buffer_format(json, "\"%s\":", name);
    if (shadow->has_versions)
        sv_json_write_text(json, sv_span_of(version));
    else
        sv_buffer_text(json, "null");
}

static void write_number(sv_buffer *json, const char *name, double value)
{
    sv_buffer_format(json, ",\"%s\":", name);
    sv_json_write_double(json, value);
}

int sv_shadow_write(sv_shadow *shadow, unsigned long dropped, sv_buffer *json)
{
    pthread_mutex_lock(&shadow->lock);
    const figures *f = &shadow->figures;
    sv_buffer_text(json, "{");
    write_version(json, "champion", shadow, shadow->champion);
    sv_buffer_text(json, ",");
    write_version(json, "challenger", shadow, shadow->challenger);
    sv_buffer_format(json, ",\"rows\":%lu,\"disagreements\":%lu", f->rows, f->disagreements);
    write_number(json, "mean_difference", mean(f->sum, f->n_differences));
    write_number(json, "mean_absolute_difference", mean(f->absolute_sum, f->n_differences));
    write_number(json, "largest_difference", f->largest);
    sv_buffer_text(json, ",\"histogram\":[");
    for (size_t b = 0; b <= N_BOUNDS; b++) {
        sv_buffer_text(json, b ? ",{\"le\":" : "{\"le\":");
        sv_json_write_double(json, b < N_BOUNDS ? bounds[b] : INFINITY);
        sv_buffer_format(json, ",\"rows\":%lu}", f->histogram[b]);
    }
    sv_buffer_format(json, "],\"failed\":%lu,\"dropped\":%lu}", shadow->failed, dropped);
    pthread_mutex_unlock(&shadow->lock);
    return 0;
}
