#include "text.h"

#include "log.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

static const struct { const char *text, *shown; } rows[] = {
    {"plain, \"quoted\" and \\ as they are", "plain, \"quoted\" and \\ as they are"},
    {"two\nlines\tand\rback", "two\\nlines\\tand\\rback"},
    {"\x1b]0;title\x07 \x1b[2J", "\\u001b]0;title\\u0007 \\u001b[2J"},
    {"rubbed\x7fout", "rubbed\\u007fout"},
    {"\xc2\x9b" "31m as one byte of C1", "\\u009b31m as one byte of C1"},
    {"\x9b" "31m as it stands in Latin-1", "\\x9b31m as it stands in Latin-1"},
    {"turned \xe2\x80\xae round \xe2\x81\xa6 \xe2\x80\x8f", "turned \\u202e round \\u2066 \\u200f"},
    {"\xe2\x80\xa8 is a line's end", "\\u2028 is a line's end"},
    {"Zürich 東京 😀", "Zürich 東京 😀"},
    {"overlong \xc0\xaf, half a surrogate \xed\xa0\x80, beyond \xf4\x90\x80\x80", "overlong \\xc0\\xaf, half a surrogate \\xed\\xa0\\x80, beyond \\xf4\\x90\\x80\\x80"},
    {"cut \xe2\x82", "cut \\xe2\\x82"},
};

Test(text, what_could_drive_a_terminal_is_spelt_out)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char line[256];
        sv_buffer whole = SV_BUFFER_INIT(0);
        size_t length = sv_text_line(line, sizeof line, rows[i].text, strlen(rows[i].text));
        cr_expect_str_eq(line, rows[i].shown);
        cr_expect_eq(length, strlen(rows[i].shown));
        cr_expect_eq(sv_text_append_line(&whole, rows[i].text, strlen(rows[i].text)), 0);
        cr_expect_str_eq(whole.data, rows[i].shown);
        sv_buffer_free(&whole);
    }
}

Test(text, every_byte_becomes_something_harmless)
{
    for (int first = 0; first < 256; first++)
        for (int second = 0; second < 256; second++) {
            const char bytes[2] = {(char)first, (char)second};
            char line[32];
            size_t length = sv_text_line(line, sizeof line, bytes, 2);
            cr_assert(length == strlen(line) && length >= 2 && length <= 12);
            for (size_t i = 0, used; i < length; i += used) {
                uint32_t point = 0;
                used = sv_utf8_read(&point, line + i, length - i);
                cr_assert(used && point >= 0x20 && (point < 0x7f || point > 0x9f), "%02x %02x", first, second);
            }
        }
}

Test(text, a_cut_falls_between_characters)
{
    for (size_t size = 0; size < 12; size++) {
        char line[12] = "untouched";
        size_t length = sv_text_line(line, size, "a\x1b" "é", 4); /* 1 + 6 + 2 bytes */
        cr_expect_eq(length, size > 9 ? 9 : size > 7 ? 7 : size > 1 ? 1 : 0, "size %zu", size);
        cr_expect_eq(strlen(line), size ? length : strlen("untouched"));
    }
}

/* What comes out on standard error. */
static void read_back(int fd, char *into, size_t size)
{
    ssize_t got = read(fd, into, size - 1);
    into[got > 0 ? got : 0] = '\0';
}

Test(text, log_lines_and_messages_are_shown_so)
{
    int ends[2];
    char line[256];
    cr_assert_eq(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    sv_log(SV_LOG_ERROR, "the server says %s", "\x1b[2J\nerror: a second line");
    read_back(ends[0], line, sizeof line);
    cr_expect_str_eq(line, "error: the server says \\u001b[2J\\nerror: a second line\n");
    sv_say("program: %s\n  ^", "\x9b" "1m");
    read_back(ends[0], line, sizeof line);
    cr_expect_str_eq(line, "program: \\x9b1m\n  ^\n");
}
