#include "csv_read.h"
#include "prng.h"
#include "table_text.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* The table as text, or "error: …". */
static char *read_text(const char *const *texts, size_t n, const sv_csv_options *options, sv_csv_info *info)
{
    static sv_buffer out;
    sv_source sources[4];
    sv_table table;
    sv_error error = SV_ERROR_INIT;
    sv_buffer_clear(&out);
    for (size_t i = 0; i < n; i++) {
        char name[8] = {(char)('a' + i), '.', 'c', 's', 'v', 0};
        sv_source_from_memory(&sources[i], name, texts[i], strlen(texts[i]), NULL);
    }
    if (sv_csv_read(&table, info, sources, n, options, NULL, &error)) {
        sv_buffer_format(&out, "error: %s", error.message);
    } else {
        table_text(&out, &table);
        sv_table_free(&table);
    }
    for (size_t i = 0; i < n; i++)
        sv_source_close(&sources[i]);
    sv_buffer_text(&out, "");
    return out.data;
}

static sv_entry declared[] = {{"d", "date", 0, 0}, {"n", "long", 0, 0}, {"s", "string", 0, 0}, {"x", "double", 0, 0}, {"b", "boolean", 0, 0}};
static sv_entry words[] = {{NULL, "NA", 0, 0}, {NULL, "?", 0, 0}};
static const sv_entries missing = {2, words};

/* What a file holds, and the table it is: by the scanner and by libcsv, in one piece and in pieces of a few bytes. */
Test(csv, what_a_file_means)
{
    static const struct {
        const char *text, *table;
    } cases[] = {
        {"a,b\n1,x\n2,y\n", "a:long/i8=1,2\nb:string/c8=<x>,<y> levels x|y\n"},
        {"a;b\r\n1;\"x\"\r\n300;\"y;z\"\r\n", "a:long/i16=1,300\nb:string/c8=<x>,<y;z> levels x|y;z\n"},
        {"\xef\xbb\xbf\"a\"\n1.5\n-2\n", "a:double/f64=1.5,-2\n"},
        {"a,b\n1,\n,x\n", "a:double/f64=1,NaN\nb:string/c8=<>,<x> levels |x\n"},
        {"a\n1\n2\n3", "a:long/i8=1,2,3\n"},
        {"a\n\n1\n\n  \n2\n\n", "a:long/i8=1,2\n"},
        {"a,b\n \t 1 \t, x y  \n", "a:long/i8=1\nb:string/c8=<x y> levels x y\n"},
        {"a\n\"two\nlines\"\n\"say \"\"hi\"\"\"\n", "a:string/c8=<two\nlines>,<say \"hi\"> levels two\nlines|say \"hi\"\n"},
        {"a,b\n\"x\" ,1\nno\"quote,2\n\"x\"y,3\n", "error: a.csv: row 3 (line 4): column 'a': a quote opens here and nothing closes it"}, /* the quote is open again */
        {"a\ntrue\nFALSE\nTrue\n", "a:boolean/i8=1,0,1\n"},
        {"a\ntrue\n\nmaybe\n", "a:string/c8=<true>,<maybe> levels true|maybe\n"},
        {"a\n9223372036854775807\n-9223372036854775808\n", "a:long/i64=9.223372036854776e+18,-9.223372036854776e+18\n"},
        {"a\n9223372036854775808\n", "a:double/f64=9.223372036854776e+18\n"},
        {"a\n1e3\n-.5\n+7\n5.\n", "a:double/f64=1000,-0.5,7,5\n"},
        {"a\nNA\n1\n?\n", "a:double/f64=NaN,1,NaN\n"},
        {"a\nNA\nx\n?\n\"\"\n", "a:string/c8=<>,<x>,<>,<> levels |x\n"},
        {"a\n1\n2\nx\n", "a:string/c8=<1>,<2>,<x> levels 1|2|x\n"},
        {"a\n0.1\n123456789.123456789123\n", "a:double/f64=0.1,123456789.12345679\n"},
        {"a\n127\n-128\n", "a:long/i8=127,-128\n"},
        {"a\n128\n", "a:long/i16=128\n"},
        {"a\n-32769\n", "a:long/i32=-32769\n"},
        {"a\n2147483648\n", "a:long/i64=2147483648\n"},
        {"a,b\n", "a:long/i8=\nb:long/i8=\n"},
        {"n,x,s,d,b\n1,2,3,2024-02-29,true\n", "n:long/i8=1\nx:double/i8=2\ns:string/c8=<3> levels 3\nd:date/i16=19782\nb:boolean/i8=1\n"},
        {"d\n1969-12-31\n\n1993-01-01\n", "d:date/i16=-1,8401\n"},
        {"d,a\n,1\n", "d:date/f64=NaN\na:long/i8=1\n"},
        {"n,a\n1,1\n,1\n", "n:double/f64=1,NaN\na:long/i8=1,1\n"},
        {"n\n1\n1.5\n", "error: a.csv: row 2 (line 3): column 'n': expected long, got '1.5'"},
        {"a,n\n1,1\n1,abc\n", "error: a.csv: row 2 (line 3): column 'n': expected long, got 'abc'"},
        {"x\n1\nabc\n", "error: a.csv: row 2 (line 3): column 'x': expected double, got 'abc'"},
        {"d\n2023-02-29\n", "error: a.csv: row 1 (line 2): column 'd': expected date, got '2023-02-29'"},
        {"b\nyes\n", "error: a.csv: row 1 (line 2): column 'b': expected boolean, got 'yes'"},
        {"a,b\n1,2\n3\n", "error: a.csv: row 2 (line 3): expected 2 cells, got 1"},
        {"a,b\n1,2\n\"3\n\",4,5\n", "error: a.csv: row 2 (line 3): expected 2 cells, got 3"},
        {"a,a\n", "error: a.csv: header: column 'a' stands twice (columns 1 and 2)"},
        {"a,,b\n", "error: a.csv: header: expected a name for column 2, got nothing"},
        {"", "error: a.csv: expected a header and rows, got an empty file"},
        {"\n\n", "error: a.csv: expected a header and rows, got an empty file"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int way = 0; way < 2; way++)
            for (size_t piece = 0; piece < 20; piece += 1 + piece / 4) {
                sv_entries columns = {0};
                sv_entry kept[5];
                for (size_t k = 0; k < 5; k++) { /* what the file has of the declared columns */
                    char header[64];
                    snprintf(header, sizeof header, ",%.*s,", (int)strcspn(cases[i].text, "\r\n"), cases[i].text);
                    char name[4] = {',', *declared[k].key, ',', 0};
                    if (strstr(header, name) && (*declared[k].key != 'b' || strstr(header, "d,b")) | (!strcmp(cases[i].text, "b\nyes\n") && k == 4))
                        kept[columns.count++] = declared[k];
                }
                columns.items = kept;
                sv_csv_options options = SV_CSV_OPTIONS_INIT;
                options.columns = &columns;
                options.missing = &missing;
                options.piece_bytes = piece;
                options.by_libcsv = way;
                char *got = read_text(&cases[i].text, 1, &options, NULL);
                cr_expect_str_eq(got, cases[i].table, "case %zu, pieces of %zu, libcsv %d: %s", i, piece, way, got);
            }
}

Test(csv, options)
{
    sv_csv_info info;
    sv_csv_options options = SV_CSV_OPTIONS_INIT;
    const char *text = "1, x \n2,y\n";
    options.header = 0;
    cr_expect_str_eq(read_text(&text, 1, &options, NULL), "c1:long/i8=1,2\nc2:string/c8=<x>,<y> levels x|y\n");
    options.trim = 0;
    cr_expect_str_eq(read_text(&text, 1, &options, NULL), "c1:long/i8=1,2\nc2:string/c8=< x >,<y> levels  x |y\n");
    options = (sv_csv_options)SV_CSV_OPTIONS_INIT;
    options.on_bad_row = SV_BAD_ROW_SKIP;
    text = "a,b\n1,x\n2\n3,y\n4,z,z\n5,x\n";
    cr_expect_str_eq(read_text(&text, 1, &options, &info), "a:long/i8=1,3,5\nb:string/c8=<x>,<y>,<x> levels x|y\n"); /* z only stood in a bad row */
    cr_expect(info.n_bad == 2 && !strcmp(info.bad[0], "a.csv: row 2 (line 3): expected 2 cells, got 1"), "%zu %s", info.n_bad, info.bad[0]);
    text = "a,b\n9007199254740994,1\n1.5\n,x,2\n7,1\n"; /* no bad row, whatever it holds, makes a column of whole numbers another */
    cr_expect_str_eq(read_text(&text, 1, &options, NULL), "a:long/i64=9007199254740994,7\nb:long/i8=1,1\n");
    options = (sv_csv_options)SV_CSV_OPTIONS_INIT;
    options.max_rows = 2;
    options.piece_bytes = 4;
    text = "b\nx\ny\nz\nx\n";
    cr_expect_str_eq(read_text(&text, 1, &options, NULL), "b:string/c8=<x>,<y> levels x|y\n");
    const char *wanted[] = {"c", "a"};
    options = (sv_csv_options)SV_CSV_OPTIONS_INIT;
    options.wanted = wanted;
    options.n_wanted = 2;
    text = "a,b,c\n1,bad,\"x\"\n2,\"b\"\"\",y\n";
    cr_expect_str_eq(read_text(&text, 1, &options, NULL), "a:long/i8=1,2\nc:string/c8=<x>,<y> levels x|y\n");
    options = (sv_csv_options)SV_CSV_OPTIONS_INIT;
    options.date_format = "%y%m%d";
    sv_entry date = {"d", "date", 0, 0}, lost = {"e", "date", 0, 0};
    sv_entries columns = {1, &date};
    options.columns = &columns;
    text = "d\n930101\n";
    cr_expect_str_eq(read_text(&text, 1, &options, NULL), "d:date/i16=8401\n");
    columns.items = &lost;
    cr_expect_str_eq(read_text(&text, 1, &options, NULL), "error: a.csv: column 'e' is declared but not in the file");
}

Test(csv, several_files_are_one_table)
{
    const char *texts[] = {"a,b\n1,x\n", "b,a\ny,2.5\nx,3\n"};
    sv_csv_options options = SV_CSV_OPTIONS_INIT;
    cr_expect_str_eq(read_text(texts, 2, &options, NULL), "a:double/f64=1,2.5,3\nb:string/c8=<x>,<y>,<x> levels x|y\n");
    const char *other[] = {"a,b\n1,x\n", "b,c\ny,2.5\n"};
    cr_expect_str_eq(read_text(other, 2, &options, NULL), "error: b.csv: column 'c' is not in a.csv");
    const char *text_later[] = {"a\n1\n", "a\nx\n"};
    cr_expect_str_eq(read_text(text_later, 2, &options, NULL), "a:string/c8=<1>,<x> levels 1|x\n");
}

/* Random files: the scanner over pieces of random size, with threads, gives the table that libcsv gives in one piece. */
Test(csv, scanner_and_libcsv_agree)
{
    static const char *const scraps[] = {"1", "-20", "3.25", "x", "yes", "\"", "\"\"", "\"a\"", "\"b,c\"", ",", ",", ",", "\n", "\n", "\r\n", " ", "\t", "\"d\ne\"", ";", "1e5", ""};
    sv_prng prng;
    sv_prng_seed(&prng, 20);
    sv_team *team;
    cr_assert_eq(sv_team_new(&team, 2, NULL), 0);
    for (int round = 0; round < 3000; round++) {
        char text[600] = "a,b\n";
        size_t length = 4;
        for (uint64_t n = sv_prng_below(&prng, 60); n; n--) {
            const char *scrap = scraps[sv_prng_below(&prng, sizeof scraps / sizeof *scraps)];
            if (sv_prng_below(&prng, 3) == 0)
                scrap = sv_prng_below(&prng, 2) ? "1,x\n" : "\"q\",\"r\ns\"\n";
            memcpy(text + length, scrap, strlen(scrap));
            length += strlen(scrap);
        }
        sv_buffer out[2] = {SV_BUFFER_INIT(0), SV_BUFFER_INIT(0)};
        sv_csv_info info[2];
        for (int way = 0; way < 2; way++) {
            sv_csv_options options = SV_CSV_OPTIONS_INIT;
            options.delimiter = ',';
            options.by_libcsv = way;
            options.on_bad_row = SV_BAD_ROW_SKIP;
            options.piece_bytes = way ? 0 : 1 + sv_prng_below(&prng, 40);
            sv_source source;
            sv_table table;
            sv_error error = SV_ERROR_INIT;
            sv_source_from_memory(&source, "r.csv", text, length, NULL);
            cr_assert_eq(sv_csv_read(&table, &info[way], &source, 1, &options, way ? NULL : team, &error), 0, "%s", error.message);
            table_text(&out[way], &table);
            for (size_t b = 0; b < info[way].n_bad && b < SV_CSV_BAD_SHOWN; b++)
                sv_buffer_format(&out[way], "%s\n", info[way].bad[b]);
            sv_table_free(&table);
            sv_source_close(&source);
        }
        cr_assert(info[0].n_bad == info[1].n_bad && out[0].size == out[1].size && !memcmp(out[0].data, out[1].data, out[0].size), "%.*s\n---\n%s---\n%s", (int)length,
                  text, out[0].data, out[1].data);
        sv_buffer_free(&out[0]);
        sv_buffer_free(&out[1]);
    }
    sv_team_free(team);
}
