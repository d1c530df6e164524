#include "package_json.h"

#include "error.h"
#include "number.h"
#include "utf8.h"

#include <math.h>
#include <string.h>

int sv_json_string(sv_buffer *json, const char *text, size_t length)
{
    int code = sv_buffer_byte(json, '"');
    for (size_t i = 0, n; i < length && !code; i += n) {
        unsigned char c = (unsigned char)text[i];
        if (!(n = sv_utf8_character(text + i, length - i)))
            return SV_E_INPUT;
        if (c == '"' || c == '\\')
            code = sv_buffer_format(json, "\\%c", c);
        else if (c < 0x20)
            code = sv_buffer_format(json, "\\u%04x", c);
        else
            code = sv_buffer_append(json, text + i, n);
    }
    return code ? code : sv_buffer_byte(json, '"');
}

int sv_json_text(sv_buffer *json, const char *text)
{
    return text ? sv_json_string(json, text, strlen(text)) : sv_buffer_text(json, "null");
}

int sv_json_number(sv_buffer *json, double number)
{
    char text[SV_NUMBER_SIZE];
    if (number != number)
        return sv_buffer_text(json, "null");
    if (isinf(number))
        return SV_E_NUMERIC;
    sv_format_double(text, number);
    return sv_buffer_text(json, text);
}

int sv_json_numbers(sv_buffer *json, const double *numbers, size_t n)
{
    int code = sv_buffer_byte(json, '[');
    for (size_t i = 0; i < n && !code; i++) {
        if (i)
            code = sv_buffer_text(json, ", ");
        code = code ? code : sv_json_number(json, numbers[i]);
    }
    return code ? code : sv_buffer_byte(json, ']');
}
