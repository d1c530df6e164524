/* report.c: the page, section by section. Nothing in it is fetched; the same inputs give the same bytes. */
#include "report.h"

#include "alloc.h"
#include "file.h"
#include "plot.h"
#include "report_plots.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char head[] =
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">"
    "<style>:root{--bg:#f9fafb;--card:#fff;--ink:#111827;--soft:#6b7280;--line:#e5e7eb;--bad:#b91c1c;--badbg:#fef2f2;--accent:#2563eb}"
    "@media(prefers-color-scheme:dark){:root{--bg:#0b1120;--card:#111827;--ink:#f3f4f6;--soft:#9ca3af;--line:#374151;--bad:#fca5a5;--badbg:#450a0a;--accent:#60a5fa}}"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,sans-serif}main{max-width:1020px;margin:0 auto;padding:28px 20px 60px}"
    "h1{font-size:26px;margin:0 0 2px}h2{font-size:18px;margin:34px 0 10px}p{margin:6px 0}.soft{color:var(--soft)}.tiles{display:flex;flex-wrap:wrap;gap:12px;margin:18px 0}"
    ".tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 16px;min-width:150px}.tile b{display:block;font-size:22px;font-variant-numeric:tabular-nums}"
    ".wide{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:10px}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}"
    "th,td{text-align:right;padding:6px 12px;border-bottom:1px solid var(--line);white-space:nowrap}th{color:var(--soft);font-weight:600;font-size:13px}tr:last-child td{border-bottom:0}"
    "th:first-child,td:first-child{text-align:left}td small{color:var(--soft)}.bad,.bad td{color:var(--bad);font-weight:600}.warn{background:var(--badbg);border:1px solid var(--bad);color:var(--bad);"
    "border-radius:10px;padding:12px 16px;margin:16px 0;white-space:pre-line}.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,440px),1fr));gap:14px}"
    ".plots svg{width:100%;height:auto;background:var(--card);border:1px solid var(--line);border-radius:10px}pre{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px;"
    "overflow-x:auto;font-size:13px}details summary{cursor:pointer;color:var(--accent);margin:10px 0}</style>";

/* Appends; remembers the first failure, so that sections need not look. */
typedef struct page {
    sv_buffer text;
    int rc;
} page;

static void put(page *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(page *p, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (!p->rc) p->rc = sv_buffer_text(&p->text, line);
}

static void put_safe(page *p, const char *text)
{
    if (!p->rc) p->rc = sv_markup_text(&p->text, text ? text : "");
}

static void put_figure(page *p, double value)
{
    if (isnan(value)) put(p, "<td>–</td>");
    else if (value == floor(value) && fabs(value) < 1e15) put(p, "<td>%.0f</td>", value);
    else put(p, "<td>%.4f</td>", value);
}

/* ---- sections ---- */

static const sv_part_evaluation *last_part(const sv_report *r)
{
    return r->evaluation && r->evaluation->n_parts ? &r->evaluation->parts[r->evaluation->n_parts - 1] : NULL;
}

static void put_tile(page *p, const char *name, const char *part, double value, double low, double high)
{
    if (isnan(value)) return;
    put(p, "<div class=\"tile\"><span class=\"soft\">%s %s</span><b>%.4f</b>", part, name, value);
    if (!isnan(low)) put(p, "<span class=\"soft\">%.4f … %.4f</span>", low, high);
    put(p, "</div>");
}

static void put_top(page *p, const sv_report *r)
{
    const sv_part_evaluation *part = last_part(r);
    if (!p->rc) p->rc = sv_buffer_text(&p->text, head);
    put(p, "<title>");
    put_safe(p, r->config->name);
    put(p, "</title></head><body><main><h1>");
    put_safe(p, r->config->name);
    put(p, "</h1><p class=\"soft\">");
    put_safe(p, r->config->description);
    put(p, "</p><p class=\"soft\">%s model for <b>", sv_task_name(sv_pipeline_task(r->pipeline)));
    put_safe(p, sv_pipeline_target(r->pipeline));
    put(p, "</b>");
    if (r->dataset) put(p, ", %zu rows", r->dataset->table.n_rows);
    if (r->run_id) put(p, ", run <code>%.64s</code>", r->run_id);
    put(p, "</p>");
    if (r->warnings && *r->warnings) {
        put(p, "<div class=\"warn\"><b>Do not trust these figures before reading this.</b>\n");
        put_safe(p, r->warnings);
        put(p, "</div>");
    }
    put(p, "<div class=\"tiles\">");
    for (size_t m = 1; part && m < part->n_metrics; m++) {
        const sv_metric *metric = &part->metrics[m];
        static const char *const shown[] = {"roc_auc", "log_loss", "accuracy", "brier", "ece", "rmse", "r2", "deviance"};
        for (size_t s = 0; s < sizeof shown / sizeof *shown; s++)
            if (!strcmp(shown[s], metric->name)) put_tile(p, metric->name, sv_part_name(part->part), metric->value, metric->low, metric->high);
    }
    put(p, "</div>");
}

static void put_metrics(page *p, const sv_report *r)
{
    const sv_evaluation *e = r->evaluation;
    if (!e || !e->n_parts) return;
    put(p, "<h2>Figures</h2><div class=\"wide\"><table><tr><th></th>");
    for (size_t k = 0; k < e->n_parts; k++)
        put(p, "<th>%s%s</th>", sv_part_name(e->parts[k].part), *e->parts[k].fitted ? "*" : "");
    put(p, "</tr>");
    for (size_t m = 0; m < e->parts[0].n_metrics; m++) {
        put(p, "<tr><td>%s</td>", e->parts[0].metrics[m].name);
        for (size_t k = 0; k < e->n_parts; k++) {
            const sv_metric *metric = &e->parts[k].metrics[m];
            if (isnan(metric->low)) put_figure(p, metric->value);
            else put(p, "<td>%.4f <small>%.4f … %.4f</small></td>", metric->value, metric->low, metric->high);
        }
        put(p, "</tr>");
    }
    put(p, "</table></div>");
    for (size_t k = 0; k < e->n_parts; k++)
        if (*e->parts[k].fitted)
            put(p, "<p class=\"bad\">* In-sample: %s chosen on the %s rows, whose figures flatter the model.</p>", e->parts[k].fitted, sv_part_name(e->parts[k].part));
    if (r->config->evaluate.bootstrap > 0)
        put(p, "<p class=\"soft\">Intervals: %g%%, from %lld resamples%s.</p>", 100 * r->config->evaluate.confidence, (long long)r->config->evaluate.bootstrap,
            sv_pipeline_task(r->pipeline) == SV_TASK_BINARY ? ", stratified by class" : "");
}

static void put_confusion(page *p, const sv_report *r)
{
    if (!r->evaluation || sv_pipeline_task(r->pipeline) != SV_TASK_BINARY) return;
    put(p, "<h2>Decisions at threshold %.4g</h2><div class=\"wide\"><table><tr><th></th><th>true negatives</th><th>false positives</th><th>false negatives</th><th>true positives</th></tr>",
        r->evaluation->threshold);
    for (size_t k = 0; k < r->evaluation->n_parts; k++) {
        const sv_part_evaluation *part = &r->evaluation->parts[k];
        put(p, "<tr><td>%s</td><td>%llu</td><td>%llu</td><td>%llu</td><td>%llu</td></tr>", sv_part_name(part->part), (unsigned long long)part->confusion[0][0],
            (unsigned long long)part->confusion[0][1], (unsigned long long)part->confusion[1][0], (unsigned long long)part->confusion[1][1]);
    }
    put(p, "</table></div>");
}

static void put_baselines(page *p, const sv_report *r)
{
    const sv_evaluation *e = r->evaluation;
    sv_task task = sv_pipeline_task(r->pipeline);
    int classes = task == SV_TASK_BINARY || task == SV_TASK_MULTINOMIAL;
    const char *loss = classes ? "log_loss" : "rmse";
    if (!e || !e->n_baselines) return;
    put(p, "<h2>Against simple rules</h2><div class=\"wide\"><table><tr><th></th><th>part</th>%s<th>%s</th></tr>", classes ? "<th>accuracy</th>" : "", loss);
    for (size_t k = 0; k < e->n_parts; k++) {
        put(p, "<tr><td><b>this model</b></td><td>%s</td>", sv_part_name(e->parts[k].part));
        if (classes) put_figure(p, sv_evaluation_metric(e, e->parts[k].part, "accuracy"));
        put_figure(p, sv_evaluation_metric(e, e->parts[k].part, loss));
        put(p, "</tr>");
        for (size_t b = 0; b < e->n_baselines; b++) {
            if (e->baselines[b].part != e->parts[k].part) continue;
            put(p, "<tr><td>%s</td><td>%s</td>", e->baselines[b].name, sv_part_name(e->baselines[b].part));
            if (classes) put_figure(p, e->baselines[b].accuracy);
            put_figure(p, e->baselines[b].log_loss);
            put(p, "</tr>");
        }
    }
    put(p, "</table></div>");
}

static void put_plots(page *p, const sv_report *r)
{
    put(p, "<h2>Plots</h2><div class=\"plots\">");
    for (size_t k = 0; !p->rc && k < sv_n_report_plots; k++) {
        int rc = sv_report_plots[k].draw(&p->text, r);
        p->rc = rc < 0 ? rc : 0;
    }
    put(p, "</div>");
}

static void put_segments(page *p, const sv_report *r)
{
    const sv_evaluation *e = r->evaluation;
    sv_task task = sv_pipeline_task(r->pipeline);
    if (!e || !e->n_segments) return;
    put(p, "<h2>Segments</h2><div class=\"wide\"><table><tr><th>segment</th><th>rows</th><th>observed</th><th>predicted</th><th>%s</th><th>%g%%</th><th></th></tr>",
        task == SV_TASK_BINARY ? "roc_auc" : task == SV_TASK_MULTINOMIAL ? "accuracy" : "rmse", 100 * r->config->evaluate.confidence);
    for (size_t k = 0; k < e->n_segments; k++) {
        const sv_segment *s = &e->segments[k];
        put(p, "<tr%s><td>", s->fails ? " class=\"bad\"" : "");
        put_safe(p, s->column);
        put(p, " = ");
        put_safe(p, s->level);
        put(p, "</td><td>%zu</td>", s->n_rows);
        put_figure(p, s->rate);
        put_figure(p, s->predicted);
        put_figure(p, s->metric);
        if (isnan(s->low)) put(p, "<td>–</td>");
        else put(p, "<td><small>%.4f … %.4f</small></td>", s->low, s->high);
        put(p, "<td>%s</td></tr>", s->fails ? "worse than the whole" : "");
    }
    put(p, "</table></div><p class=\"soft\">Segments of fewer than %d rows are left out.</p>", SV_SEGMENT_LEAST_ROWS);
}

static const char *shift_word(double psi)
{
    return isnan(psi) ? "" : psi < 0.1 ? "steady" : psi < 0.25 ? "moved" : "shifted";
}

static void put_shifts(page *p, const sv_report *r)
{
    const sv_evaluation *e = r->evaluation;
    if (!e || !e->n_shifts) return;
    put(p, "<h2>Drift from %s to %s</h2><div class=\"wide\"><table><tr><th>column</th><th>PSI</th><th>KS</th><th></th></tr>", sv_part_name(e->shifts[0].from), sv_part_name(e->shifts[0].to));
    for (size_t k = 0; k < e->n_shifts; k++) {
        put(p, "<tr%s><td>", e->shifts[k].psi >= 0.25 ? " class=\"bad\"" : "");
        put_safe(p, e->shifts[k].name);
        put(p, "</td>");
        put_figure(p, e->shifts[k].psi);
        put_figure(p, e->shifts[k].ks);
        put(p, "<td>%s</td></tr>", shift_word(e->shifts[k].psi));
    }
    put(p, "</table></div>");
}

static void put_fit(page *p, const sv_report *r)
{
    const sv_solution *s = r->fit ? &r->fit->solution : NULL;
    if (!s) return;
    put(p, "<h2>The fit</h2><p>%s: %lld iterations, %zu passes over %zu rows, %s.", s->solver ? s->solver : "", (long long)s->iterations, s->passes, r->fit->n_rows,
        s->converged ? "converged" : "<b class=\"bad\">not converged</b>");
    if (s->why[0]) put(p, " Chosen for %s.", s->why);
    put(p, "</p><p class=\"soft\">Objective %.12g; gradient %.3g", s->objective, s->gradient_norm);
    if (!isnan(s->weight_error)) put(p, "; weights within about %.3g", s->weight_error);
    if (!isnan(s->duality_gap)) put(p, "; duality gap %.3g", s->duality_gap);
    put(p, ".</p><details><summary>%zu coefficients</summary><div class=\"wide\"><table><tr><th>encoded feature</th><th>weight</th><th>standard error</th><th>z</th><th>p</th><th>%g%%</th></tr>",
        r->fit->n_coefficients, 100 * r->config->evaluate.confidence);
    for (size_t k = 0; k < r->fit->n_coefficients && k < 2000; k++) {
        const sv_coefficient *c = &r->fit->coefficients[k];
        put(p, "<tr><td>");
        put_safe(p, c->name);
        put(p, "</td><td>%.6g</td>", c->weight);
        if (isnan(c->standard_error)) put(p, "<td>–</td><td>–</td><td>–</td><td>–</td></tr>");
        else put(p, "<td>%.4g</td><td>%.2f</td><td>%.3g</td><td>%.4g … %.4g</td></tr>", c->standard_error, c->z, c->p, c->low, c->high);
    }
    put(p, "</table></div></details>");
}

static void put_config(page *p, const sv_report *r)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    if (!file) return;
    int rc = sv_config_print(r->config, file);
    if (fclose(file) == 0 && !rc) {
        put(p, "<h2>Configuration</h2><details><summary>as resolved</summary><pre>");
        put_safe(p, text);
        put(p, "</pre></details>");
    }
    free(text);
}

/* ---- files ---- */

static int write_plots(const char *folder, const sv_report *report, sv_error *error)
{
    char *plots = sv_path_join(folder, "plots");
    int rc = plots ? sv_folder_make(plots, error) : sv_error_set(error, SV_E_MEMORY, "report: out of memory");
    for (size_t k = 0; !rc && k < sv_n_report_plots; k++) {
        sv_buffer svg = SV_BUFFER_INIT(16u << 20);
        char name[64];
        int drawn = sv_report_plots[k].draw(&svg, report);
        snprintf(name, sizeof name, "%s.svg", sv_report_plots[k].name);
        char *path = sv_path_join(plots, name);
        if (drawn < 0 || !path) rc = sv_error_set(error, SV_E_MEMORY, "report: out of memory");
        else if (!drawn) rc = sv_file_write(path, svg.data, svg.size, error);
        else remove(path); /* an earlier model's, in the same folder */
        sv_free(path);
        sv_buffer_free(&svg);
    }
    sv_free(plots);
    return rc;
}

int sv_report_write(const char *folder, const sv_report *report, sv_error *error)
{
    page p = {.text = SV_BUFFER_INIT(64u << 20)};
    int rc = sv_folder_make(folder, error);
    if (!rc) rc = write_plots(folder, report, error);
    if (rc) return rc;
    put_top(&p, report);
    put_metrics(&p, report);
    put_plots(&p, report);
    put_confusion(&p, report);
    put_baselines(&p, report);
    put_segments(&p, report);
    put_shifts(&p, report);
    put_fit(&p, report);
    put_config(&p, report);
    put(&p, "</main></body></html>\n");
    char *path = sv_path_join(folder, "report.html");
    if (p.rc || !path) rc = sv_error_set(error, p.rc ? p.rc : SV_E_MEMORY, "report: out of memory");
    else rc = sv_file_write(path, p.text.data, p.text.size, error);
    sv_free(path);
    sv_buffer_free(&p.text);
    return rc;
}

/* ---- the card ---- */

int sv_report_card(sv_buffer *markdown, const sv_report *report, sv_error *error)
{
    const sv_part_evaluation *part = last_part(report);
    int rc = sv_buffer_format(markdown, "**%s**: %s model for `%s`", report->config->name, sv_task_name(sv_pipeline_task(report->pipeline)), sv_pipeline_target(report->pipeline));
    if (!rc && report->fit) rc = sv_buffer_format(markdown, ", %zu training rows, %zu coefficients, solver %s (%s)", report->fit->n_rows, report->fit->n_coefficients,
                                                  report->fit->solution.solver, report->fit->solution.converged ? "converged" : "NOT converged");
    if (!rc) rc = sv_buffer_text(markdown, ".\n");
    if (!rc && report->warnings && *report->warnings) rc = sv_buffer_format(markdown, "\n> **Warning**: %.600s\n", report->warnings);
    if (!rc && part && *part->fitted) rc = sv_buffer_format(markdown, "\n> **In-sample**: %s chosen on the %s rows, whose figures flatter the model.\n", part->fitted, sv_part_name(part->part));
    if (!rc && part) rc = sv_buffer_format(markdown, "\n| %s | value | %g%% |\n|---|---|---|\n", sv_part_name(part->part), 100 * report->config->evaluate.confidence);
    for (size_t m = 0; !rc && part && m < part->n_metrics; m++) {
        const sv_metric *metric = &part->metrics[m];
        rc = isnan(metric->low) ? sv_buffer_format(markdown, "| %s | %.6g | |\n", metric->name, metric->value)
                                : sv_buffer_format(markdown, "| %s | %.4f | %.4f … %.4f |\n", metric->name, metric->value, metric->low, metric->high);
    }
    return rc ? sv_error_set(error, rc, "report: out of memory") : 0;
}
