/* Packages: what is written is read back the same, and what is wrong is refused with its place. */
#include "alloc.h"
#include "file.h"
#include "package.h"
#include "sample_pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const sv_task tasks[] = {SV_TASK_BINARY, SV_TASK_MULTINOMIAL, SV_TASK_LINEAR, SV_TASK_POISSON};

static sv_buffer json_of(const sv_pipeline *p)
{
    sv_buffer json = SV_BUFFER_INIT(0);
    sv_error error = SV_ERROR_INIT;
    cr_assert_eq(sv_pipeline_write_json(&json, p, &error), 0, "%s", error.message);
    return json;
}

Test(pipeline_json, read_back_it_scores_the_same_bits_and_writes_the_same_bytes)
{
    static sample_rows rows, again;
    for (size_t t = 0; t < 4; t++) {
        sv_pipeline *first, *second;
        sv_error error = SV_ERROR_INIT;
        cr_assert_eq(sample_pipeline_of(&first, tasks[t], t + 31), 0);
        if (tasks[t] == SV_TASK_BINARY)
            sv_pipeline_set_isotonic(first, (const double[]){-1, 0, 1}, (const double[]){0.1, 0.4, 1}, 3, NULL);
        sv_buffer json = json_of(first);
        cr_assert_eq(sv_pipeline_read_json(&second, json.data, json.size, &error), 0, "%s", error.message);
        sv_buffer twice = json_of(second);
        cr_assert_str_eq(json.data, twice.data);
        sample_fill(&rows, first, 5, SV_BLOCK_ROWS);
        sample_fill(&again, second, 5, SV_BLOCK_ROWS);
        sv_scorer *a, *b;
        cr_assert(!sv_scorer_new(&a, first) && !sv_scorer_new(&b, second));
        cr_assert_eq(sv_scorer_run(a, &rows.block, NULL), 0);
        cr_assert_eq(sv_scorer_run(b, &again.block, NULL), 0);
        for (size_t o = 0; o < sv_pipeline_n_outputs(first); o++)
            cr_assert(!memcmp(sv_scorer_output(a, o), sv_scorer_output(b, o), SV_BLOCK_ROWS * sizeof(double)));
        sv_scorer_free(a);
        sv_scorer_free(b);
        sv_buffer_free(&json);
        sv_buffer_free(&twice);
        sv_pipeline_free(first);
        sv_pipeline_free(second);
    }
}

#define DOCUMENT(head, columns, derived, terms, intercept)                                                                                             \
    "{\"format\": \"native-tabular\", \"version\": 1, " head "\"target\": \"t\", \"threshold\": 0.5, \"columns\": [" columns "], \"derived\": [" derived  \
    "], \"terms\": [" terms "], \"intercept\": [" intercept "]}"
#define X "{\"name\": \"x\", \"type\": \"double\"}"
#define S "{\"name\": \"s\", \"type\": \"string\"}"
#define BINARY "\"task\": \"binary\", "
#define NUMBER(more) "{\"encoder\": \"number\", \"value\": \"x\", \"fill\": 0, \"mean\": [0], \"scale\": [1], \"weights\": [1]" more "}"
#define CATEGORY(columns, weights) "{\"encoder\": \"category\", \"value\": \"s\", \"unknown\": \"zeros\", \"categories\": [\"a\", \"b\"], \"columns\": [" columns "], \"weights\": [" weights "]}"

/* A document and words of the message. */
static const struct { const char *json, *message; } wrong[] = {
    {"", "pipeline.json:"},
    {"[]", "expected an object"},
    {"{", "pipeline.json:1:"},
    {"{\"a\": 1, \"a\": 2}", "duplicate"},
    {"{\"format\": \"other\"}", "format: expected \"native-tabular\""},
    {"{\"format\": \"native-tabular\", \"version\": 2}", "version: expected 1, got 2"},
    {"{\"format\": \"native-tabular\", \"version\": \"1\"}", "version: expected a whole number"},
    {DOCUMENT("\"task\": \"clustering\", ", X, "", "", "0"), "task: expected binary"},
    {DOCUMENT(BINARY "\"extra\": 1, ", X, "", "", "0"), "the unknown key \"extra\""},
    {DOCUMENT(BINARY, X, "", "", ""), "a binary model with 0 scores"},
    {DOCUMENT(BINARY, X, "", "", "0, 0"), "a binary model with 2 scores"},
    {DOCUMENT(BINARY, X, "", "", "null"), "intercept: expected a finite number"},
    {DOCUMENT(BINARY, "1", "", "", "0"), "columns[0]: expected an object"},
    {DOCUMENT(BINARY, "{\"name\": \"x\", \"type\": \"float\"}", "", "", "0"), "columns[0].type: expected long"},
    {DOCUMENT(BINARY, "{\"name\": \"x\\u0000y\", \"type\": \"long\"}", "", "", "0"), "columns[0].name: expected a text without NUL"},
    {DOCUMENT(BINARY, X ", " X, "", "", "0"), "the name x is given twice"},
    {DOCUMENT(BINARY, X, "{\"name\": \"y\", \"expression\": \"x +\"}", "", "0"), "expected a value"},
    {DOCUMENT(BINARY, X, "{\"name\": \"y\", \"expression\": \"z\"}", "", "0"), "no column or feature `z`"},
    {DOCUMENT(BINARY, X, "{\"name\": \"t_probability\", \"expression\": \"x\"}", "", "0"), "is the name of a column or feature"},
    {DOCUMENT(BINARY, X, "", "{\"encoder\": \"magic\"}", "0"), "terms[0].encoder: there is no encoder \"magic\""},
    {DOCUMENT(BINARY, X, "", NUMBER(", \"points\": []"), "0"), "terms[0]: the unknown key \"points\""},
    {DOCUMENT(BINARY, X, "", NUMBER("") "," NUMBER(", \"shadow\": 1"), "0"), "terms[1].shadow: expected true or false"},
    {DOCUMENT(BINARY, X, "", "{\"encoder\": \"number\", \"value\": \"y\", \"weights\": [1]}", "0"), "terms[0].value: there is no column"},
    {DOCUMENT(BINARY, X, "", "{\"encoder\": \"number\", \"value\": \"x\", \"fill\": 0, \"mean\": [0, 0], \"scale\": [1], \"weights\": [1]}", "0"), "terms[0].mean: expected 1 numbers, got 2"},
    {DOCUMENT(BINARY, X, "", "{\"encoder\": \"number\", \"value\": \"x\", \"fill\": 0, \"mean\": [0], \"scale\": [0], \"weights\": [1]}", "0"), "a scale is not above zero"},
    {DOCUMENT(BINARY, X, "", "{\"encoder\": \"number\", \"value\": \"x\", \"fill\": 0, \"mean\": [0], \"scale\": [1], \"weights\": [1, 2]}", "0"), "terms[0].weights: expected 1 numbers, got 2"},
    {DOCUMENT(BINARY, X, "", "{\"encoder\": \"hash\", \"value\": \"x\", \"buckets\": 1, \"weights\": [1]}", "0"), "expected a text, got a number"},
    {DOCUMENT(BINARY, S, "", "{\"encoder\": \"hash\", \"value\": \"s\", \"buckets\": 1000000, \"weights\": [1]}", "0"), "terms[0].weights: expected 1000000"},
    {DOCUMENT(BINARY, S, "", CATEGORY("0, 5", "1, 2"), "0"), "terms[0].columns: expected numbers from -1 to 1"},
    {DOCUMENT(BINARY, S, "", CATEGORY("0", "1, 2"), "0"), "terms[0].columns: expected one for each of 2"},
    {DOCUMENT(BINARY, S, "", CATEGORY("0, 0", "1, 2"), "0"), "terms[0].weights: expected 1 numbers, got 2"},
    {DOCUMENT(BINARY, S, "", "{\"encoder\": \"category\", \"value\": \"s\", \"unknown\": \"zeros\", \"categories\": [\"a\", \"a\"], \"columns\": [0, 1], \"weights\": [1, 2]}", "0"), "a text stands twice"},
    {DOCUMENT(BINARY, X, "", "{\"encoder\": \"pair\", \"left\": 0, \"right\": 0, \"weights\": [1]}", "0"), "left: expected a whole number"},
    {DOCUMENT(BINARY, X, "", "{\"encoder\": \"bins\", \"value\": \"x\", \"points\": [2, 1], \"drop_first\": true, \"fill\": null, \"weights\": [1, 1]}", "0"), "must be finite and ascend"},
    {DOCUMENT(BINARY, X, "", "{\"encoder\": \"spline\", \"value\": \"x\", \"points\": [], \"fill\": null, \"weights\": [1, 1]}", "0"), "0 spline knots"},
    {DOCUMENT("\"task\": \"multinomial\", ", X, "", "", "0, 0"), "classes: is missing"},
    {DOCUMENT("\"task\": \"multinomial\", \"classes\": [\"a\"], ", X, "", "", "0, 0"), "1 classes for 2 scores"},
    {DOCUMENT(BINARY "\"calibration\": {\"kind\": \"platt\", \"slope\": 1}, ", X, "", "", "0"), "calibration.offset: is missing"},
    {DOCUMENT(BINARY "\"calibration\": {\"kind\": \"isotonic\", \"x\": [0, 0], \"y\": [0, 1]}, ", X, "", "", "0"), "isotonic calibration needs"},
    {DOCUMENT(BINARY "\"calibration\": {\"kind\": \"isotonic\", \"x\": [], \"y\": []}, ", X, "", "", "0"), "isotonic calibration needs"},
};

Test(pipeline_json, wrong_documents_are_refused_with_their_place)
{
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        sv_pipeline *p;
        sv_error error = SV_ERROR_INIT;
        int code = sv_pipeline_read_json(&p, wrong[i].json, strlen(wrong[i].json), &error);
        cr_expect((code == SV_E_INPUT || code == SV_E_LIMIT) && error.code == code, "%s: %d", wrong[i].json, code);
        cr_expect_null(p);
        cr_expect(strstr(error.message, wrong[i].message), "%s: %s", wrong[i].json, error.message);
        cr_expect(!strncmp(error.message, "pipeline.json", 13), "%s", error.message);
    }
}

/* Files of version 1 that were written once stay readable: the fuzz target's corpus holds some. */
Test(pipeline_json, files_of_the_past_are_readable)
{
    static const char *const names[] = {"binary", "multinomial", "small"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[4096];
        sv_buffer json = SV_BUFFER_INIT(0);
        sv_pipeline *p;
        sv_error error = SV_ERROR_INIT;
        snprintf(path, sizeof path, "%s/tests/fuzz/corpus/pipeline/%s", getenv("SOURCE_ROOT"), names[i]);
        cr_assert_eq(sv_file_read(&json, path, 0, &error), 0, "%s", error.message);
        cr_expect_eq(sv_pipeline_read_json(&p, json.data, json.size, &error), 0, "%s: %s", names[i], error.message);
        sv_pipeline_free(p);
        sv_buffer_free(&json);
    }
}

Test(pipeline_json, a_right_one_for_comparison)
{
    static const char json[] = DOCUMENT(BINARY, X ", " S, "{\"name\": \"y\", \"expression\": \"x * 2\"}", NUMBER("") ", " CATEGORY("-1, 0", "0.5"), "0");
    sv_pipeline *p;
    sv_error error = SV_ERROR_INIT;
    cr_assert_eq(sv_pipeline_read_json(&p, json, sizeof json - 1, &error), 0, "%s", error.message);
    sv_pipeline_free(p);
}

/* Our own allocations; jansson keeps malloc (its 2.14 writes through a NULL when memory is out). */
Test(pipeline_json, every_failed_allocation_is_reported)
{
    sv_pipeline *sample, *p;
    cr_assert_eq(sample_pipeline_of(&sample, SV_TASK_MULTINOMIAL, 1), 0);
    sv_buffer json = json_of(sample);
    int done = 0;
    for (long k = 0; !done && k < 5000; k++) {
        sv_error error = SV_ERROR_INIT;
        sv_alloc_fail_after(k, 1);
        int code = sv_pipeline_read_json(&p, json.data, json.size, &error);
        sv_alloc_fail_after(-1, 0);
        cr_assert(!code || code == SV_E_MEMORY, "allocation %ld: %d %s", k, code, error.message);
        sv_pipeline_free(p);
        done = !code;
    }
    cr_assert(done);
    sv_buffer_free(&json);
    sv_pipeline_free(sample);
}

/* ---- folders */

static char folder[64];

static void make_folder(void)
{
    strcpy(folder, "/tmp/solvent-package-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void)
{
    sv_folder_remove(folder, NULL);
}

static void overwrite(const char *name, const char *text)
{
    char *path = sv_path_join(folder, name);
    cr_assert_eq(sv_file_write(path, text, strlen(text), NULL), 0);
    sv_free(path);
}

TestSuite(package, .init = make_folder, .fini = remove_folder);

Test(package, a_folder_is_read_back)
{
    sv_pipeline *p;
    sv_error error = SV_ERROR_INIT;
    sv_package package;
    double edges[] = {10, 20};
    uint64_t counts[] = {1, 2, 3};
    char age[] = "age", metric[] = "test.roc_auc", card[] = "# A card\n\"quoted\"";
    sv_profile_value value = {.name = age, .min = 1, .max = 30, .mean = 15, .deviation = 3, .median = 14, .is_whole = 1, .histogram = {2, edges, counts}};
    sv_profile_metric metrics[] = {{metric, 0.9}};
    sv_profile profile = {.n_rows = 6, .label_rate = 0.5, .n_values = 1, .values = &value, .score = {2, edges, counts}, .n_metrics = 1, .metrics = metrics, .description = card};
    cr_assert_eq(sample_pipeline_of(&p, SV_TASK_BINARY, 1), 0);
    sv_package_options options = {.model_id = "m-0123", .run_id = "r-1", .profile = &profile, .created_ms = 1750000000123};
    cr_assert_eq(sv_package_write(folder, p, &options, &error), 0, "%s", error.message);
    for (size_t i = 0; sv_package_files[i]; i++) {
        char *path = sv_path_join(folder, sv_package_files[i]);
        cr_expect_eq(access(path, R_OK), 0, "%s", path);
        sv_free(path);
    }
    cr_assert_eq(sv_package_load(&package, folder, &error), 0, "%s", error.message);
    cr_expect_str_eq(package.model_id, "m-0123");
    cr_expect_str_eq(package.run_id, "r-1");
    cr_expect_eq(strlen(package.sha256), 64u);
    cr_expect(strstr(package.input_example, "\"dataframe_split\""));
    cr_expect(strstr(package.output_example, "{\"predictions\": [{\""));
    cr_assert_not_null(package.profile);
    const sv_profile_value *read = sv_profile_find(package.profile, "age");
    cr_assert_not_null(read);
    cr_expect_eq(read->histogram.counts[2], 3u);
    cr_expect_eq(read->max, 30);
    cr_expect_str_eq(package.profile->description, card);
    cr_expect_eq(package.profile->metrics[0].value, 0.9);
    sv_package_free(&package);
    options.run_id = "r-2";
    cr_assert_eq(sv_package_write_mlmodel(folder, p, &options, &error), 0);
    cr_assert_eq(sv_package_load(&package, folder, &error), 0, "%s", error.message);
    cr_expect_str_eq(package.run_id, "r-2");
    sv_package_free(&package);
    sv_pipeline_free(p);
}

static void expect_refused(int code, const char *words)
{
    sv_error error = SV_ERROR_INIT;
    sv_package package;
    cr_expect_eq(sv_package_load(&package, folder, &error), code, "%s", error.message);
    cr_expect(strstr(error.message, folder) && strstr(error.message, words), "%s: %s", words, error.message);
    cr_expect_neq(sv_package_load(&package, folder, NULL), 0);
}

Test(package, broken_folders_are_refused)
{
    sv_pipeline *p, *other;
    expect_refused(SV_E_IO, "MLmodel");
    cr_assert(!sample_pipeline_of(&p, SV_TASK_BINARY, 1) && !sample_pipeline_of(&other, SV_TASK_BINARY, 2));
    cr_assert_eq(sv_package_write(folder, p, NULL, NULL), 0);
    sv_buffer json = json_of(other);
    overwrite("pipeline.json", json.data);
    expect_refused(SV_E_INPUT, "MLmodel says");
    overwrite("profile.json", "{}");
    cr_assert_eq(sv_package_write_mlmodel(folder, p, &(sv_package_options)SV_PACKAGE_OPTIONS_INIT, NULL), 0);
    expect_refused(SV_E_INPUT, "profile.json: format: is missing");
    overwrite("pipeline.json", "{\"format\"");
    cr_assert_eq(sv_package_write_mlmodel(folder, p, &(sv_package_options)SV_PACKAGE_OPTIONS_INIT, NULL), 0);
    expect_refused(SV_E_INPUT, "pipeline.json:1:");
    overwrite("MLmodel", "flavors: {}\n");
    expect_refused(SV_E_INPUT, "expected the SHA-256");
    sv_buffer_free(&json);
    sv_pipeline_free(p);
    sv_pipeline_free(other);
}

/* Every file counts, also those that only Python reads: missing, changed, or one too many. */
Test(package, every_file_is_checked)
{
    sv_pipeline *p;
    sv_package package;
    cr_assert_eq(sample_pipeline_of(&p, SV_TASK_BINARY, 1), 0);
    for (size_t i = 0; sv_package_files[i]; i++) {
        cr_assert_eq(sv_package_write(folder, p, NULL, NULL), 0);
        char *path = sv_path_join(folder, sv_package_files[i]);
        unlink(path);
        expect_refused(SV_E_IO, sv_package_files[i]);
        sv_free(path);
        cr_assert_eq(sv_package_write(folder, p, NULL, NULL), 0);
        overwrite(sv_package_files[i], "changed");
        expect_refused(SV_E_INPUT, i + 1 < SV_PACKAGE_FILES ? sv_package_files[i] : "expected the SHA-256");
    }
    cr_assert_eq(sv_package_write(folder, p, NULL, NULL), 0);
    overwrite("registered_model_meta", "model_name: m\n");
    overwrite(".hidden", "");
    cr_assert_eq(sv_package_load(&package, folder, NULL), 0);
    sv_package_free(&package);
    overwrite("code/more.py", "");
    expect_refused(SV_E_INPUT, "code/more.py: is no file of a package");
    sv_pipeline_free(p);
}

/* Before packages recorded what their example is answered: neither the file nor a digest of it. One without the other is no older package. */
Test(package, an_older_one_is_read)
{
    sv_pipeline *p;
    sv_package package;
    sv_buffer yaml = SV_BUFFER_INIT(0);
    cr_assert_eq(sample_pipeline_of(&p, SV_TASK_BINARY, 1), 0);
    cr_assert_eq(sv_package_write(folder, p, NULL, NULL), 0);
    char *answers = sv_path_join(folder, SV_PACKAGE_ANSWERS), *mlmodel = sv_path_join(folder, "MLmodel");
    cr_assert(!unlink(answers) && !sv_file_read(&yaml, mlmodel, 0, NULL));
    expect_refused(SV_E_IO, SV_PACKAGE_ANSWERS);
    char *line = strstr(yaml.data, "    " SV_PACKAGE_ANSWERS), *end = line ? strchr(line, '\n') : NULL;
    cr_assert(end);
    memmove(line, end + 1, strlen(end + 1) + 1);
    overwrite("MLmodel", yaml.data);
    cr_assert_eq(sv_package_load(&package, folder, NULL), 0);
    cr_expect_null(package.output_example);
    sv_package_free(&package);
    overwrite(SV_PACKAGE_ANSWERS, "{}");
    expect_refused(SV_E_INPUT, "expected the SHA-256 of " SV_PACKAGE_ANSWERS);
    sv_free(answers);
    sv_free(mlmodel);
    sv_buffer_free(&yaml);
    sv_pipeline_free(p);
}

Test(package, every_failed_allocation_of_the_folder_is_reported)
{
    sv_pipeline *p;
    int done = 0;
    cr_assert_eq(sample_pipeline_of(&p, SV_TASK_MULTINOMIAL, 1), 0);
    for (long k = 0; !done && k < 5000; k++) {
        sv_error error = SV_ERROR_INIT;
        sv_alloc_fail_after(k, 1);
        int code = sv_package_write(folder, p, NULL, &error);
        sv_alloc_fail_after(-1, 0);
        cr_assert(!code || (code == SV_E_MEMORY && *error.message), "allocation %ld: %d %s", k, code, error.message);
        done = !code;
    }
    cr_assert(done);
    sv_pipeline_free(p);
}

Test(package, the_same_pipeline_gives_the_same_bytes)
{
    sv_pipeline *p;
    sv_buffer first = SV_BUFFER_INIT(0), second = SV_BUFFER_INIT(0);
    cr_assert_eq(sample_pipeline_of(&p, SV_TASK_BINARY, 1), 0);
    cr_assert_eq(sv_pipeline_write_onnx(&first, p, "0", NULL), 0);
    cr_assert_eq(sv_pipeline_write_onnx(&second, p, "0", NULL), 0);
    cr_assert(first.size == second.size && !memcmp(first.data, second.data, first.size));
    sv_buffer_free(&first);
    sv_buffer_free(&second);
    sv_pipeline_free(p);
}

Test(package, every_failed_allocation_of_the_graph_is_reported)
{
    sv_pipeline *p;
    cr_assert_eq(sample_pipeline_of(&p, SV_TASK_MULTINOMIAL, 1), 0);
    int done = 0;
    for (long k = 0; !done && k < 5000; k++) {
        sv_buffer bytes = SV_BUFFER_INIT(0);
        sv_alloc_fail_after(k, 1);
        int code = sv_pipeline_write_onnx(&bytes, p, "0", NULL);
        sv_alloc_fail_after(-1, 0);
        cr_assert(!code || code == SV_E_MEMORY, "allocation %ld: %d", k, code);
        sv_buffer_free(&bytes);
        done = !code;
    }
    cr_assert(done);
    sv_pipeline_free(p);
}
