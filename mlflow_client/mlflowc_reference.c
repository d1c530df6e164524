/* The manual page mlflowc-endpoints(7): all that the table of endpoints says, for people. */
#include "endpoints.h"
#include "fields.h"
#include "mlflowc.h"

#include <string.h>

/* Objects and enumerations of the field language. */
typedef struct named {
    const char *name, *text;
} named;

static const named shapes[] = {
#define SHAPE(name, fields) {#name, fields},
#define ENUM(name, names)
#include "endpoint_shapes.def"
#undef SHAPE
#undef ENUM
};
static const named enumerations[] = {
#define SHAPE(name, fields)
#define ENUM(name, names) {#name, names},
#include "endpoint_shapes.def"
#undef SHAPE
#undef ENUM
};

static const char *type_name(char letter)
{
    static const named names[] = {{"s", "text"}, {"i", "integer"}, {"d", "number"}, {"b", "flag"}, {"m", "map of texts"}, {"x", "anything"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (*names[i].name == letter) return names[i].text;
    return "";
}

/* "run_id! text, tags list of RunTag": as a person reads it. */
static void put_fields(FILE *out, const char *fields)
{
    mlf_field field;
    const char *comma = "";
    for (const char *at = fields; mlf_field_next(&field, &at); comma = ", ") {
        int is_named = *field.type == '@' || *field.type == '%';
        fprintf(out, "%s\\fI%.*s\\fR%s %s", comma, (int)field.name_length, field.name, field.required ? "!" : "", field.is_list ? "list of " : "");
        if (is_named)
            fprintf(out, "%.*s", (int)field.type_length - 1, field.type + 1);
        else
            fputs(type_name(*field.type), out);
    }
}

static void put_endpoint(FILE *out, const mlf_endpoint *e)
{
    fputs(".TP\n.B ", out);
    mlc_put_roff(out, e->name);
    fputs("\n", out);
    mlc_put_roff(out, e->purpose);
    fprintf(out, ".\n.br\n%s ", e->method);
    mlc_put_roff(out, e->path);
    fprintf(out, ", since MLflow %d.%d%s%s%s%s\n", e->since / 100, e->since % 100, e->flags & MLF_EP_ONCE ? "; not to be repeated" : "",
            e->flags & MLF_EP_RAW ? "; its body or its answer is no JSON" : "", e->flags & MLF_EP_AUTH ? "; with basic\\-auth alone" : "",
            e->flags & MLF_EP_DEAD ? "; declared by MLflow and answered with 404" : "");
    if (*e->fields) fputs(".br\nfields: ", out);
    put_fields(out, e->fields);
    if (e->flags & MLF_EP_OPEN) fputs(*e->fields ? "; further ones pass" : ".br\nfields: any", out);
    if (*e->fields || e->flags & MLF_EP_OPEN) fputs("\n", out);
    if (*e->reply) {
        fputs(".br\nanswer: ", out);
        mlc_put_roff(out, e->reply);
        fputs("\n", out);
    }
}

static void put_names(FILE *out, const char *names)
{
    for (; *names; names++)
        fputs(*names == '|' ? ", " : (char[]){*names, '\0'}, out);
}

void mlc_man_endpoints(FILE *out)
{
    const char *group = "";
    fprintf(out,
            ".TH MLFLOWC\\-ENDPOINTS 7 \"\" \"mlflowc %s\" \"MLflow's endpoints\"\n.SH NAME\nmlflowc\\-endpoints \\- the endpoints of MLflow that mlflowc and "
            "libmlflow\\-client know\n.SH DESCRIPTION\n"
            "\\fBmlflowc call\\fR \\fINAME\\fR and \\fBmlf_call\\fR() call an endpoint by its name, \\fBmlf_search\\fR() goes through its pages; the fields are checked "
            "before anything is sent.\n! behind a field: it is required. * behind a part of the answer: a list.\n",
            mlf_version());
    for (size_t i = 0; i < MLF_N_ENDPOINTS; i++) {
        const mlf_endpoint *e = mlf_endpoint_at(i);
        if (strcmp(e->group, group)) fprintf(out, ".SH \"%s\"\n", e->group);
        group = e->group;
        put_endpoint(out, e);
    }
    fputs(".SH OBJECTS\n", out);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        fprintf(out, ".TP\n.B %s\n", shapes[i].name);
        put_fields(out, shapes[i].text);
        fputs("\n", out);
    }
    fputs(".SH ENUMERATIONS\n", out);
    for (size_t i = 0; i < sizeof enumerations / sizeof *enumerations; i++) {
        fprintf(out, ".TP\n.B %s\n", enumerations[i].name);
        put_names(out, enumerations[i].text);
        fputs("\n", out);
    }
    fputs(".SH \"SEE ALSO\"\n.BR mlflowc (1)\n", out);
}
