/* model_tool.c: what the Python tests of model/ drive.

       model_tool package PIPELINE_JSON FOLDER     reads the pipeline, writes its package
       model_tool sample TASK FOLDER               the package of sample_pipeline.h, and FOLDER.tsv, rows for it
       model_tool score FOLDER < ROWS              tab-separated rows in the schema's order, empty: missing; scores in blocks and row by row, says so when
                                                   their bits differ, prints each row's outputs with %.17g (texts as they are)
       model_tool functions                        the language's functions, one a line: call, tab, meaning
       model_tool evaluate EXPRESSION              its value on the row of docs/expressions.md
       model_tool expressions FILE FOLDER          one expression a line: FOLDER/N.onnx, and FOLDER/values.tsv with its values on the world's rows */
#include "date.h"
#include "file.h"
#include "number.h"
#include "package.h"
#include "sample_pipeline.h"

#include <stdio.h>
#include <stdlib.h>

static void stop(const char *what, const sv_error *error)
{
    fprintf(stderr, "%s: %s %s\n", what, error->message, error->hint);
    exit(1);
}

/* ---- score */

typedef struct row_reader {
    const sv_pipeline *pipeline;
    size_t n_columns;
    double (*numbers)[SV_BLOCK_ROWS];
    int32_t (*codes)[SV_BLOCK_ROWS];
    const void **pointers;
} row_reader;

static void read_cell(row_reader *reader, size_t column, size_t row, const char *text, size_t length)
{
    const sv_features *features = sv_pipeline_features(reader->pipeline);
    double *number = &reader->numbers[column][row];
    *number = NAN;
    if (sv_features_type(features, (int)column) == SV_STRING)
        reader->codes[column][row] = sv_features_code(features, (int)column, text, length);
    else if (sv_features_type(features, (int)column) == SV_DATE)
        sv_date_parse(text, length, number);
    else if (length)
        sv_parse_double(text, length, number);
}

static void read_row(row_reader *reader, size_t row, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    for (size_t c = 0; c < reader->n_columns; c++) {
        size_t length = strcspn(line, "\t");
        read_cell(reader, c, row, line, length);
        line += length + (line[length] == '\t');
    }
}

static void point_at(row_reader *reader, size_t row)
{
    for (size_t c = 0; c < reader->n_columns; c++)
        reader->pointers[c] = sv_features_type(sv_pipeline_features(reader->pipeline), (int)c) == SV_STRING ? (const void *)&reader->codes[c][row]
                                                                                                              : &reader->numbers[c][row];
}

static void print_outputs(const sv_pipeline *p, const sv_scorer *scorer, size_t row)
{
    for (size_t o = 0; o < sv_pipeline_n_outputs(p); o++) {
        double value = sv_scorer_output(scorer, o)[row];
        if (sv_pipeline_output_type(p, o) == SV_STRING)
            printf("%s%s", o ? "\t" : "", sv_pipeline_class(p, (size_t)value));
        else
            printf("%s%.17g", o ? "\t" : "", value);
    }
    putchar('\n');
}

static void score_block(row_reader *reader, sv_scorer *whole, sv_scorer *single, size_t n)
{
    const sv_pipeline *p = reader->pipeline;
    point_at(reader, 0);
    sv_scorer_run(whole, &(sv_block){n, reader->pointers}, NULL);
    for (size_t i = 0; i < n; i++) {
        point_at(reader, i);
        sv_scorer_run(single, &(sv_block){1, reader->pointers}, NULL);
        for (size_t o = 0; o < sv_pipeline_n_outputs(p); o++)
            if (memcmp(&sv_scorer_output(single, o)[0], &sv_scorer_output(whole, o)[i], sizeof(double)))
                printf("a row alone and in its block differ: ");
        print_outputs(p, whole, i);
    }
}

static int score(const char *folder)
{
    sv_error error = SV_ERROR_INIT;
    sv_package package;
    static char line[65536];
    if (sv_package_load(&package, folder, &error))
        stop("score", &error);
    row_reader reader = {.pipeline = package.pipeline, .n_columns = sv_features_n_columns(sv_pipeline_features(package.pipeline))};
    reader.numbers = sv_calloc(reader.n_columns, sizeof *reader.numbers);
    reader.codes = sv_calloc(reader.n_columns, sizeof *reader.codes);
    reader.pointers = sv_calloc(reader.n_columns, sizeof *reader.pointers);
    sv_scorer *whole, *single;
    if (sv_scorer_new(&whole, package.pipeline) || sv_scorer_new(&single, package.pipeline))
        return 1;
    size_t n = 0;
    while (fgets(line, sizeof line, stdin)) {
        read_row(&reader, n++, line);
        if (n == SV_BLOCK_ROWS) {
            score_block(&reader, whole, single, n);
            n = 0;
        }
    }
    score_block(&reader, whole, single, n);
    sv_scorer_free(whole);
    sv_scorer_free(single);
    sv_free(reader.numbers);
    sv_free(reader.codes);
    sv_free(reader.pointers);
    sv_package_free(&package);
    return 0;
}

/* ---- package, sample */

static int package(const char *json_path, const char *folder)
{
    sv_error error = SV_ERROR_INIT;
    sv_buffer json = SV_BUFFER_INIT(0);
    sv_pipeline *p = NULL;
    if (sv_file_read(&json, json_path, 0, &error) || sv_pipeline_read_json(&p, json.data, json.size, &error) ||
        sv_package_write(folder, p, NULL, &error))
        stop("package", &error);
    sv_pipeline_free(p);
    sv_buffer_free(&json);
    return 0;
}

static int sample(const char *task_name, const char *folder)
{
    static sample_rows rows;
    sv_error error = SV_ERROR_INIT;
    sv_task task = SV_TASK_BINARY;
    sv_pipeline *p;
    sv_buffer text = SV_BUFFER_INIT(0);
    char path[4096];
    while (strcmp(sv_task_name(task), task_name) && task < SV_TASK_POISSON)
        task++;
    if (sample_pipeline_of(&p, task, 77))
        return 1;
    sample_fill(&rows, p, 78, SV_BLOCK_ROWS);
    if (sv_package_write(folder, p, &(sv_package_options){.example = &rows.block, .run_id = "r", .created_ms = 1750000000123}, &error))
        stop("sample", &error);
    static const char *const jobs[] = {"admin.", "blue-collar", "žena v domácnosti", "student", "retired", "", "unemployed", "something new", "ö"};
    static const char *const months[] = {"jan", "feb", "mar", "apr", "may", ""};
    for (size_t i = 0; i < 1000; i++) {
        sv_buffer_format(&text, "%zu\t", 15 + i % 70);
        if (i % 10)
            sv_buffer_format(&text, "%.17g", 3000 * sin((double)i));
        sv_buffer_format(&text, "\t%s\t%s\t%d\n", jobs[i % 9], months[i / 9 % 6], (int)(i / 7 % 2));
    }
    snprintf(path, sizeof path, "%s.tsv", folder);
    if (sv_file_write(path, text.data, text.size, &error))
        stop("sample", &error);
    sv_buffer_free(&text);
    sv_pipeline_free(p);
    return 0;
}

/* ---- expressions */

enum { WORLD_ROWS = 60, WORLD_NUMBERS = 5, WORLD_COLUMNS = 7 };
static double world_numbers[WORLD_NUMBERS][WORLD_ROWS];
static int32_t world_codes[WORLD_COLUMNS - WORLD_NUMBERS][WORLD_ROWS];

/* Texts that no expression names are among them, in both columns. */
static const char *world_text(size_t column, size_t row)
{
    static const char *const jobs[] = {"admin.", "", "student", "ö", "x", "never heard of"}, *const trades[] = {"x", "student", "", "never heard of", "admin.", "ö", "y"};
    return column == 5 ? jobs[row % 6] : trades[row % 7];
}

static const void *world_at(size_t column, size_t row)
{
    return column < WORLD_NUMBERS ? (const void *)&world_numbers[column][row] : &world_codes[column - WORLD_NUMBERS][row];
}

/* x, y doubles with missing and infinite ones; n long; flag boolean; d date; job, trade string. The test's own table has the same rows. */
static sv_features *make_world(void)
{
    sv_features *features;
    if (sv_features_new(&features))
        exit(1);
    static const struct { const char *name; sv_type type; } columns[] = {
        {"x", SV_DOUBLE}, {"y", SV_DOUBLE}, {"n", SV_LONG}, {"flag", SV_BOOLEAN}, {"d", SV_DATE}, {"job", SV_STRING}, {"trade", SV_STRING}};
    for (int i = 0; i < WORLD_COLUMNS; i++)
        sv_features_add_column(features, columns[i].name, columns[i].type, NULL, NULL);
    return features;
}

static void fill_world(const sv_features *features)
{
    static const double specials[] = {0, -0.0, 1, -1, 0.5, -2.5, 1e-9, -1e-12, 3, 1e15, -7e15, 1e300, INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < WORLD_ROWS; i++) {
        world_numbers[0][i] = specials[i % 15];
        world_numbers[1][i] = specials[(i / 4 + i) % 15];
        world_numbers[2][i] = (double)((int)i - 20);
        world_numbers[3][i] = (double)(i / 3 % 2);
        world_numbers[4][i] = i % 13 == 12 ? NAN : -40000.0 + 1511.0 * (double)i;
        for (size_t c = WORLD_NUMBERS; c < WORLD_COLUMNS; c++)
            world_codes[c - WORLD_NUMBERS][i] = sv_features_code(features, (int)c, world_text(c, i), strlen(world_text(c, i)));
    }
}

static void print_world(const char *folder)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/world.tsv", folder);
    FILE *file = fopen(path, "w");
    for (size_t i = 0; file && i < WORLD_ROWS; i++) {
        for (size_t c = 0; c < WORLD_NUMBERS; c++)
            fprintf(file, "%.17g\t", world_numbers[c][i]);
        fprintf(file, "%s\t%s\n", world_text(5, i), world_text(6, i));
    }
    if (file)
        fclose(file);
}

/* value = prediction of a linear model with this one feature, weight 1. */
static sv_pipeline *make_identity(const char *text)
{
    sv_features *features = make_world();
    sv_error error = SV_ERROR_INIT;
    sv_pipeline *p = NULL;
    if (sv_features_define(features, "value", text, NULL, &error) < 0 || sv_features_compile(features, NULL, NULL, &error) ||
        sv_pipeline_new(&p, features, SV_TASK_LINEAR, 1, &error) || sv_pipeline_add_number(p, WORLD_COLUMNS, &error) < 0)
        stop(text, &error);
    sv_pipeline_term(p, 0)->weights[0] = 1;
    if (sv_pipeline_finish(p, &error))
        stop(text, &error);
    return p;
}

static void run_expression(const char *text, const char *folder, size_t index, FILE *values)
{
    sv_pipeline *p = make_identity(text);
    sv_scorer *whole, *single;
    sv_error error = SV_ERROR_INIT;
    sv_buffer onnx = SV_BUFFER_INIT(0);
    char path[4096];
    if (sv_scorer_new(&whole, p) || sv_scorer_new(&single, p) || sv_pipeline_write_onnx(&onnx, p, NULL, &error))
        stop(text, &error);
    snprintf(path, sizeof path, "%s/%zu.onnx", folder, index);
    if (sv_file_write(path, onnx.data, onnx.size, &error))
        stop(text, &error);
    fill_world(sv_pipeline_features(p));
    const void *columns[WORLD_COLUMNS];
    for (size_t c = 0; c < WORLD_COLUMNS; c++)
        columns[c] = world_at(c, 0);
    sv_scorer_run(whole, &(sv_block){WORLD_ROWS, columns}, NULL);
    for (size_t i = 0; i < WORLD_ROWS; i++) {
        for (size_t c = 0; c < WORLD_COLUMNS; c++)
            columns[c] = world_at(c, i);
        sv_scorer_run(single, &(sv_block){1, columns}, NULL);
        double alone = sv_scorer_output(single, 0)[0], among = sv_scorer_output(whole, 0)[i];
        int same = !memcmp(&alone, &among, sizeof alone) || (alone != alone && among != among);
        fprintf(values, "%s%.17g", i ? "\t" : "", among);
        if (!same)
            fprintf(values, "(alone %.17g)", alone);
    }
    fputc('\n', values);
    sv_scorer_free(whole);
    sv_scorer_free(single);
    sv_pipeline_free(p);
    sv_buffer_free(&onnx);
}

static int expressions(const char *cases_path, const char *folder)
{
    static char line[SV_EXPR_LENGTH_MAX + 2];
    char path[4096];
    FILE *cases = fopen(cases_path, "r");
    snprintf(path, sizeof path, "%s/values.tsv", folder);
    FILE *values = fopen(path, "w");
    if (!cases || !values)
        return 1;
    for (size_t i = 0; fgets(line, sizeof line, cases); i++) {
        line[strcspn(line, "\n")] = '\0';
        run_expression(line, folder, i, values);
    }
    print_world(folder);
    fclose(cases);
    return fclose(values);
}

/* ---- what docs/expressions.md says */

static int functions(void)
{
    for (size_t i = 0; sv_expr_function_help(i); i++)
        puts(sv_expr_function_help(i));
    return 0;
}

static int evaluate(const char *text)
{
    static const struct { const char *name; sv_type type; double number; const char *text; } row[] = {
        {"age", SV_LONG, 58, NULL}, {"balance", SV_DOUBLE, 2143, NULL}, {"income", SV_DOUBLE, NAN, NULL}, {"job", SV_STRING, 0, "management"},
        {"opened", SV_DATE, 0, "2024-02-29"}, {"education-num", SV_LONG, 13, NULL}};
    enum { N = sizeof row / sizeof *row };
    sv_features *features;
    sv_evaluator *evaluator;
    sv_error error = SV_ERROR_INIT;
    double numbers[N];
    int32_t codes[N];
    const void *columns[N];
    char out[SV_NUMBER_SIZE];
    if (sv_features_new(&features))
        return 1;
    for (int i = 0; i < N; i++)
        sv_features_add_column(features, row[i].name, row[i].type, NULL, NULL);
    if (sv_features_define(features, "value", text, NULL, &error) < 0 || sv_features_compile(features, NULL, NULL, &error) ||
        sv_evaluator_new(&evaluator, features))
        stop(text, &error);
    for (int i = 0; i < N; i++) {
        numbers[i] = row[i].number;
        if (row[i].type == SV_DATE)
            sv_date_parse(row[i].text, strlen(row[i].text), &numbers[i]);
        if (row[i].type == SV_STRING)
            codes[i] = sv_features_code(features, i, row[i].text, strlen(row[i].text));
        columns[i] = row[i].type == SV_STRING ? (const void *)&codes[i] : &numbers[i];
    }
    sv_evaluator_run(evaluator, &(sv_block){1, columns});
    double value = *(const double *)sv_evaluator_value(evaluator, N);
    sv_format_double(out, value);
    puts(value != value ? "missing" : out);
    sv_evaluator_free(evaluator);
    sv_features_free(features);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "functions"))
        return functions();
    if (argc == 3 && !strcmp(argv[1], "evaluate"))
        return evaluate(argv[2]);
    if (argc == 4 && !strcmp(argv[1], "package"))
        return package(argv[2], argv[3]);
    if (argc == 4 && !strcmp(argv[1], "sample"))
        return sample(argv[2], argv[3]);
    if (argc == 3 && !strcmp(argv[1], "score"))
        return score(argv[2]);
    if (argc == 4 && !strcmp(argv[1], "expressions"))
        return expressions(argv[2], argv[3]);
    fprintf(stderr, "usage: see model_tool.c\n");
    return 2;
}
