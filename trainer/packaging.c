#include "packaging.h"
#include "alloc.h"
#include "buffer.h"
#include "clock.h"
#include "file.h"
#include "package.h"
#include "profile_rows.h"
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

int sv_packaging_lock(sv_packaging *p, const sv_config *config, sv_error *error)
{
    if (!config->output || p->lock >= 0)
        return 0;
    p->lock = open(config->output, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->lock < 0 || !flock(p->lock, LOCK_EX | LOCK_NB) || errno != EWOULDBLOCK)
        return 0;
    sv_error_set(error, SV_E_IO, "%s: another training is writing there", config->output);
    sv_error_hint(error, "wait for its end, or give another --output");
    return SV_E_IO;
}

static int choose_folder(sv_packaging *p, const sv_config *config, sv_error *error)
{
    const char *base = getenv("TMPDIR");
    if (config->output) {
        p->folder = sv_strdup(config->output);
        int code = p->folder ? sv_folder_make(p->folder, error) : sv_error_set(error, SV_E_MEMORY, "package: out of memory");
        return code ? code : sv_packaging_lock(p, config, error);
    }
    p->folder = sv_path_join(base && *base ? base : "/tmp", "solvent-XXXXXX");
    if (!p->folder)
        return sv_error_set(error, SV_E_MEMORY, "package: out of memory");
    if (!mkdtemp(p->folder))
        return sv_error_set(error, SV_E_IO, "%s: cannot be made: %s", p->folder, strerror(errno));
    p->is_temporary = 1;
    return 0;
}

/* The first training rows' columns, as an example of a request. */
static int write_package(const sv_packaging *p, const sv_training *t, const sv_profile *profile, sv_error *error)
{
    sv_package_options options = SV_PACKAGE_OPTIONS_INIT;
    sv_binding *binding;
    sv_block block;
    const sv_table *table = &t->dataset.table;
    int code = sv_binding_new(&binding, sv_pipeline_features(t->pipeline), table, error);
    if (code)
        return code;
    char *scratch = sv_aligned(64, sv_binding_scratch_size(binding) + 64);
    if (!scratch) {
        sv_binding_free(binding);
        return sv_error_set(error, SV_E_MEMORY, "package: out of memory");
    }
    sv_binding_block(binding, 0, table->n_rows < 5 ? table->n_rows : 5, scratch, &block);
    options.example = &block;
    options.profile = profile;
    options.created_ms = sv_epoch_ms();
    options.run_id = sv_tracker_run_id(t->tracker);
    code = sv_package_write(p->package, t->pipeline, &options, error);
    sv_free(scratch);
    sv_binding_free(binding);
    return code;
}

static int write_config(const sv_packaging *p, const sv_config *config, sv_error *error)
{
    char *text = NULL, *path = sv_path_join(p->report, "config.yaml");
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (file) {
        sv_config_print(config, file);
        fclose(file);
    }
    int code = path && text ? sv_file_write(path, text, size, error) : sv_error_set(error, SV_E_MEMORY, "package: out of memory");
    free(text);
    sv_free(path);
    return code;
}

/* report.html with its plots, and the card for the model version. */
static int write_report(sv_packaging *p, const sv_training *t, sv_error *error)
{
    sv_buffer warnings = SV_BUFFER_INIT(0), card = SV_BUFFER_INIT(0);
    int code = 0;
    for (size_t i = 0; i < t->audit.n_findings && !code; i++)
        code = sv_buffer_format(&warnings, "%s%s\n", t->audit.findings[i].kind == SV_AUDIT_LEAK ? "LEAKAGE: " : "", t->audit.findings[i].text);
    const sv_report report = {.config = t->config, .pipeline = t->pipeline, .dataset = &t->dataset, .fit = &t->fit, .evaluation = &t->evaluation, .steps = t->steps,
                              .n_steps = t->n_steps, .warnings = warnings.data, .run_id = sv_tracker_run_id(t->tracker)};
    if (code)
        sv_error_set(error, code, "report: out of memory");
    if (!code && t->config->evaluate.report)
        code = sv_report_write(p->report, &report, error);
    if (!code && !(code = sv_report_card(&card, &report, error)))
        p->card = sv_buffer_take(&card);
    sv_buffer_free(&warnings);
    sv_buffer_free(&card);
    return code;
}

int sv_packaging_write(sv_packaging *p, const sv_training *t, sv_error *error)
{
    sv_profile profile = {0};
    int code = choose_folder(p, t->config, error);
    if (code)
        return code;
    p->package = sv_path_join(p->folder, "model");
    p->report = sv_path_join(p->folder, "report");
    if (!p->package || !p->report)
        return sv_error_set(error, SV_E_MEMORY, "package: out of memory");
    code = sv_profile_rows(&profile, t, error);
    if (!code)
        code = sv_folder_make(p->report, error);
    if (!code)
        code = write_config(p, t->config, error);
    if (!code)
        code = write_report(p, t, error);
    if (!code)
        code = write_package(p, t, &profile, error);
    sv_profile_free(&profile);
    return code;
}

void sv_packaging_free(sv_packaging *p)
{
    if (p->is_temporary && p->folder)
        sv_folder_remove(p->folder, NULL);
    if (p->lock >= 0)
        close(p->lock);
    sv_free(p->folder);
    sv_free(p->package);
    sv_free(p->report);
    sv_free(p->card);
    *p = (sv_packaging)SV_PACKAGING_INIT;
}
