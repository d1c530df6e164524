#include "buffer.h"
#include "config.h"
#include "config_keys.h"
#include "config_tree.h"
#include "file.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define MINIMAL "data: {source: a.csv}\ntarget: {when: x > 0}\n"

static sv_config *parse(const char *text, const char *set, sv_error *error)
{
    sv_config *config;
    sv_config_options options = {&set, set != NULL};
    sv_config_parse(&config, "c.yaml", text, strlen(text), &options, error);
    return config;
}

Test(config, every_default_is_taken_and_within_its_own_range)
{
    sv_error error = SV_ERROR_INIT;
    sv_config *c = parse(MINIMAL, NULL, &error);
    cr_assert(c, "%s", error.message);
    cr_expect(c->train.c == 1 && c->train.max_iter == 1000 && c->train.tolerance == 1e-8 && c->train.penalty == SV_PENALTY_L2);
    cr_expect(c->split.train == 0.7 && c->split.test == 0.2 && c->split.seed == 42 && c->split.stratify);
    cr_expect(c->encode.drop_first && c->encode.missing == SV_ENCODE_MISSING_MEDIAN && c->evaluate.audit == SV_AUDIT_WARN);
    cr_expect_str_eq(c->data.source.items[0].value, "a.csv");
    cr_expect(c->registry.enabled && !c->registry.alias && !c->data.delimiter && !sv_config_given(c, "train.c") && sv_config_given(c, "data.source"));
    sv_config_free(c);
}

/* What is written wrongly, and what is said: file, line, column, key, expected, got. */
Test(config, errors_have_their_place)
{
    static const struct {
        const char *text, *set, *message;
    } cases[] = {
        {MINIMAL "train:\n  c: -1\n", NULL, "c.yaml:4:6: in 'train.c': must be > 0, got -1"},
        {MINIMAL "train: {max_iter: 0}\n", NULL, "c.yaml:3:19: in 'train.max_iter': must be >= 1, got 0"},
        {MINIMAL "train: {max_iter: 1.5}\n", NULL, "c.yaml:3:19: in 'train.max_iter': expected a whole number, got 1.5"},
        {MINIMAL "train: {tolerance: nan}\n", NULL, "c.yaml:3:20: in 'train.tolerance': expected a number, got nan"},
        {MINIMAL "train: {tolerance: 2}\n", NULL, "c.yaml:3:20: in 'train.tolerance': must be <= 1, got 2"},
        {MINIMAL "train: {solver: newtom}\n", NULL, "c.yaml:3:17: in 'train.solver': expected one of: auto gd nesterov sgd adam lbfgs newton cd, got newtom"},
        {MINIMAL "encode: {drop_first: yes}\n", NULL, "c.yaml:3:22: in 'encode.drop_first': expected true or false, got yes"},
        {MINIMAL "train: {maxiter: 5}\n", NULL, "c.yaml:3:9: unknown key 'train.maxiter': did you mean 'train.max_iter'?"},
        {MINIMAL "solver: newton\n", NULL, "c.yaml:3:1: unknown key 'solver': did you mean 'train.solver'?"},
        {MINIMAL "zzzzzzzzzzz: 1\n", NULL, "c.yaml:3:1: unknown key 'zzzzzzzzzzz'"},
        {MINIMAL "name: a\nname: b\n", NULL, "c.yaml:4:1: key 'name' stands twice, first in line 3"},
        {MINIMAL "features: {a: x, a: y}\n", NULL, "c.yaml:3:18: key 'a' stands twice, first in line 3"},
        {MINIMAL "train: 3\n", NULL, "c.yaml:3:8: expected keys and values in train, got a text"},
        {MINIMAL "name: [a]\n", NULL, "c.yaml:3:7: in 'name': expected one value, got a list"},
        {MINIMAL "use: {a: b}\n", NULL, "c.yaml:3:6: in 'use': expected a list, got a mapping"},
        {MINIMAL "columns: {age: longer}\n", NULL, "c.yaml:3:16: in 'columns.age': expected long, double, string, boolean or date, got longer"},
        {MINIMAL "split: {train: 0.9}\n", NULL, "c.yaml:3:16: in 'split.train': train, validation and test must add up to 1, got 1.2"},
        {MINIMAL "split: {train: 0, validation: 0.5, test: 0.5}\n", NULL, "c.yaml:3:16: in 'split.train': must be > 0, got 0"},
        {MINIMAL "name: a/b\n", NULL, "c.yaml:3:7: in 'name': expected a name without / and :, got 'a/b'"},
        {MINIMAL "name: a\nregister: {alias: v3}\n", NULL, "c.yaml:4:19: in 'register.alias': expected letters, digits, _ and -, and neither latest nor v1; got 'v3'"},
        {MINIMAL "data: 1\n", NULL, "c.yaml:3:1: key 'data' stands twice, first in line 1"},
        {"target: {when: x}\n", NULL, "c.yaml: in 'data.source': expected a file, got nothing"},
        {"data: {source: a}\n", NULL, "c.yaml: in 'target.when': expected one of target.when, target.value and target.column, got none"},
        {"data: {source: a, delimiter: ab}\ntarget: {when: x}\n", NULL, "c.yaml:1:30: in 'data.delimiter': expected one ASCII character, got 'ab'"},
        {"data: {source: a, delimiter: '\"'}\ntarget: {when: x}\n", NULL, "c.yaml: in 'data.quote': must differ from data.delimiter"},
        {MINIMAL, "train.c=-1", "--set train.c=-1: in 'train.c': must be > 0, got -1"},
        {MINIMAL, "train.d=1", "--set train.d=1: unknown key 'train.d': did you mean 'train.c'?"},
        {MINIMAL, "train.c", "--set train.c: expected key=value"},
        {MINIMAL "name: ${NO_SUCH_VARIABLE_HERE}\n", NULL, "c.yaml:3:7: in 'name': environment variable NO_SUCH_VARIABLE_HERE is not set"},
        {MINIMAL "name: ${9 lives}\n", NULL, "c.yaml:3:7: in 'name': expected ${NAME} or ${NAME:-else}, got ${9 lives}"},
        {"a: &x [1]\nb: *x\n", NULL, "c.yaml:1:4: unknown key"},
        {"data: &x {source: a}\n", NULL, "c.yaml:1:7: anchors (&) and aliases (*) are not used here: write the value out"},
        {"data: !!map {source: a}\n", NULL, "c.yaml:1:7: tags (!) are not used here"},
        {"", NULL, "c.yaml: empty"},
        {"- a\n", NULL, "c.yaml:1:1: expected keys and values, got a list"},
        {"a: b: c\n", NULL, "c.yaml:1:5: not YAML: mapping values are not allowed in this context"},
        {"{a: 1}\n---\n{b: 1}\n", NULL, "c.yaml:2:1: expected one document, a second begins here"},
        {MINIMAL "train: {penalty: l1, solver: newton}\n", NULL, "c.yaml:3:30: in 'train.solver': penalty l1 has corners: expected auto or cd, got newton"},
        {"data: {source: a.csv}\ntarget: {column: x}\ntrain: {offset: x}\n", NULL, "c.yaml:3:17: in 'train.offset': is the target: what is predicted cannot be added to the score"},
        {"data: {source: a.csv}\ntarget: {column: x}\ntrain: {model: multinomial, offset: exposure}\n", NULL, "c.yaml:3:37: in 'train.offset': is for models with one score: added to every class's it would change nothing"},
        {MINIMAL "sweep: {keys: {train.e: [1, 2]}}\n", NULL, "c.yaml:3:26: in 'sweep.keys.train.e': is not a key that can be swept"},
        {MINIMAL "panel: {entity: a, time: t}\n", NULL, "c.yaml: in 'panel.aggregates': expected at least one, got none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sv_error error = SV_ERROR_INIT;
        sv_config *c = parse(cases[i].text, cases[i].set, &error);
        cr_expect_null(c, "%s was taken", cases[i].text);
        if (strstr(cases[i].message, "unknown key") && !strchr(cases[i].message, '\''))
            continue;
        cr_expect_str_eq(error.message, cases[i].message);
        cr_expect_eq(error.code, SV_E_CONFIG);
        sv_config_free(c);
    }
}

Test(config, nesting_and_length_are_bounded)
{
    char deep[4000] = "data: ";
    memset(deep + 6, '[', 2000);
    sv_error error = SV_ERROR_INIT;
    cr_assert_null(parse(deep, NULL, &error));
    cr_expect(strstr(error.message, "nested too deeply"), "%s", error.message);
    sv_error_clear(&error);
    size_t size = SV_TREE_MAX_BYTES + 1;
    char *large = malloc(size);
    memset(large, ' ', size);
    sv_config *c;
    cr_assert_eq(sv_config_parse(&c, "c.yaml", large, size, NULL, &error), SV_E_CONFIG);
    free(large);
}

Test(config, the_environment_fills_in_and_secrets_stay_out)
{
    setenv("SV_TEST_FOLDER", "rows", 1);
    setenv("SV_TEST_TOKEN", "hunter2", 1);
    sv_error error = SV_ERROR_INIT;
    sv_config *c = parse("name: x-${SV_TEST_MISSING:-y}\ndescription: ${SV_TEST_TOKEN}\ndata: {source: ['${SV_TEST_FOLDER}/a.csv', 'http://me:pw@h/b?sig=1'], credentials: /k}\n"
                         "target: {when: x}\nrun_name: $${literal}\n", NULL, &error);
    cr_assert(c, "%s", error.message);
    cr_expect_str_eq(c->name, "x-y");
    cr_expect_str_eq(c->description, "hunter2");
    cr_expect_str_eq(c->run_name, "${literal}");
    cr_expect_str_eq(c->data.source.items[0].value, "rows/a.csv");
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    sv_config_print(c, file);
    fclose(file);
    cr_expect(!strstr(text, "hunter2") && !strstr(text, "pw@") && !strstr(text, "sig=1") && !strstr(text, "/k"), "%s", text);
    cr_expect(strstr(text, "description: \"${SV_TEST_TOKEN}\"") && strstr(text, "run_name: \"$${literal}\""), "%s", text);
    free(text);
    sv_config_free(c);
}

static char *printed(const sv_config *c)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    sv_config_print(c, file);
    fclose(file);
    return text;
}

Test(config, what_is_printed_reads_back_to_the_same)
{
    static const char *text = MINIMAL
        "columns: {age: long, 'odd name': string}\nfeatures:\n  risk: balance < 0\n  \"quo\\\"te\": 'x in (\"a\", \"b\")'\nuse: [age, risk]\n"
        "sweep: {keys: {train.c: [0.1, 1], train.penalty: l2}}\nevaluate: {costs: {false_negative: 5}}\ndata2: ~\n";
    sv_error error = SV_ERROR_INIT;
    sv_config *c = parse(text, NULL, &error);
    cr_assert_null(c); /* data2 */
    sv_error_clear(&error);
    char copy[1000];
    snprintf(copy, sizeof copy, "%.*s", (int)(strstr(text, "data2") - text), text);
    c = parse(copy, "features.more=age / 2", &error);
    cr_assert(c, "%s", error.message);
    char *once = printed(c);
    sv_config *again = parse(once, NULL, &error);
    cr_assert(again, "%s in\n%s", error.message, once);
    char *twice = printed(again);
    cr_expect_str_eq(once, twice);
    cr_expect(again->features.count == 3 && again->evaluate.cost_false_negative == 5 && again->sweep.keys.count == 3);
    free(once);
    free(twice);
    sv_config_free(c);
    sv_config_free(again);
}

static int count_setting(void *context, const char *key, const char *value)
{
    int *seen = context;
    cr_expect(strcmp(key, "data.credentials") != 0 || !strcmp(value, "***"));
    seen[0]++;
    seen[1] |= !strcmp(key, "features.a") && !strcmp(value, "x + 1");
    seen[2] |= !strcmp(key, "data.source") && !strcmp(value, "[\"a.csv\"]");
    return 0;
}

Test(config, settings_come_one_by_one)
{
    sv_error error = SV_ERROR_INIT;
    sv_config *c = parse("data: {source: a.csv, credentials: k}\ntarget: {when: x}\nfeatures: {a: x + 1}\n", "split.time=t", &error);
    cr_assert(c, "%s", error.message);
    int seen[3] = {0};
    cr_assert_eq(sv_config_each(c, count_setting, seen), 0);
    cr_expect(seen[0] > 40 && seen[1] && seen[2]);
    cr_expect_eq(c->split.method, SV_SPLIT_TIME);
    sv_config_free(c);
    c = parse(MINIMAL, "split={time: t, seed: 3}", &error); /* a whole group at once */
    cr_assert(c, "%s", error.message);
    cr_expect(c->split.method == SV_SPLIT_TIME && c->split.seed == 3);
    sv_config_free(c);
}

Test(config, a_set_without_a_value_takes_back_what_the_file_says)
{
    static const struct {
        const char *set, *line; /* printed then; NULL: only what was taken back is not */
    } cases[] = {{"register.alias=", NULL}, {"register.alias=null", NULL}, {"split.group=~", "  by: random\n"}, {"train.c=", "  c: 1\n"},
                 {"evaluate.segments=", NULL}, {"features=", NULL}, {"train={offset: null}", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sv_error error = SV_ERROR_INIT;
        sv_config *c = parse("name: n\ndata: {source: a.csv}\ntarget: {when: x}\nfeatures: {a: x + 1}\ntrain: {c: 3, offset: e}\nsplit: {group: g}\nevaluate: {segments: [s]}\n"
                             "register: {alias: champion}\n", cases[i].set, &error);
        cr_assert(c, "%s: %s", cases[i].set, error.message);
        char *text = printed(c);
        cr_expect(!cases[i].line || strstr(text, cases[i].line), "%s: expected %s in\n%s", cases[i].set, cases[i].line, text);
        cr_expect_eq(strstr(text, "alias: champion") != NULL, !strstr(cases[i].set, "alias"));
        cr_expect_eq(strstr(text, "group: g") != NULL, !strstr(cases[i].set, "group"));
        cr_expect_eq(strstr(text, "segments:") != NULL, !strstr(cases[i].set, "segments"));
        cr_expect_eq(strstr(text, "features:") != NULL, !strstr(cases[i].set, "features"));
        cr_expect_eq(strstr(text, "offset: e") != NULL, !strstr(cases[i].set, "offset"));
        free(text);
        sv_config_free(c);
    }
}

Test(config, the_reference_is_the_table)
{
    sv_buffer kept = SV_BUFFER_INIT(0);
    char path[1000], *text = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "%s/configs/REFERENCE.md", getenv("SOURCE_ROOT"));
    cr_assert_eq(sv_file_read(&kept, path, 0, NULL), 0);
    FILE *file = open_memstream(&text, &size);
    sv_config_reference(file);
    fclose(file);
    cr_assert_str_eq(kept.data, text, "configs/REFERENCE.md is old: solvent reference > configs/REFERENCE.md");
    for (size_t i = 0; i < sv_keys_count; i++)
        cr_expect(strstr(text, sv_keys[i].name), "%s", sv_keys[i].name);
    free(text);
    sv_buffer_free(&kept);
}
