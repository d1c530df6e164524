/* plot.c: SVG is written directly; colours come from classes, so that a page's dark mode reaches the charts too. */
#include "plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TOP = 50, BOTTOM = 42, RIGHT = 16 };

static const char style[] =
    "<style>.pl{font:12px system-ui,sans-serif}.pl text{fill:#4b5563}.pl .ti{font-size:14px;font-weight:600;fill:#111827}.pl .bg{fill:#ffffff}"
    ".pl .gr{stroke:#e5e7eb;stroke-width:1}.pl .fr{stroke:#9ca3af;fill:none}.pl .l{fill:none;stroke-width:2;stroke-linejoin:round}"
    ".pl .s0{stroke:#2563eb}.pl .s1{stroke:#d97706}.pl .s2{stroke:#059669}.pl .s3{stroke:#9ca3af;stroke-dasharray:4 4;stroke-width:1.5}"
    ".pl .f0{fill:#2563eb}.pl .f1{fill:#d97706}.pl .f2{fill:#059669}.pl .f3{fill:#9ca3af}.pl .b{fill-opacity:.55}"
    "@media(prefers-color-scheme:dark){.pl text{fill:#9ca3af}.pl .ti{fill:#f3f4f6}.pl .bg{fill:#111827}.pl .gr{stroke:#374151}.pl .fr{stroke:#6b7280}"
    ".pl .s0{stroke:#60a5fa}.pl .s1{stroke:#fbbf24}.pl .s2{stroke:#34d399}.pl .f0{fill:#60a5fa}.pl .f1{fill:#fbbf24}.pl .f2{fill:#34d399}}</style>";

static void put(sv_plot *plot, const char *text)
{
    plot->failed |= sv_buffer_text(plot->svg, text) != 0;
}

int sv_markup_text(sv_buffer *out, const char *text)
{
    int rc = 0;
    for (; !rc && *text; text++)
        switch (*text) {
        case '<': rc = sv_buffer_text(out, "&lt;"); break;
        case '>': rc = sv_buffer_text(out, "&gt;"); break;
        case '&': rc = sv_buffer_text(out, "&amp;"); break;
        case '"': rc = sv_buffer_text(out, "&quot;"); break;
        default: rc = sv_buffer_byte(out, (unsigned char)*text < 0x20 && *text != '\n' && *text != '\t' ? ' ' : *text);
        }
    return rc;
}

static void put_text(sv_plot *plot, const char *class, double x, double y, const char *anchor, const char *text)
{
    plot->failed |= sv_buffer_format(plot->svg, "<text%s x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", class, x, y, anchor) != 0;
    plot->failed |= sv_markup_text(plot->svg, text) != 0;
    put(plot, "</text>");
}

static double share_y(const sv_plot *plot, double y)
{
    if (!plot->log_y) return (y - plot->low_y) / (plot->high_y - plot->low_y);
    return (log(fmax(y, plot->low_y)) - log(plot->low_y)) / (log(plot->high_y) - log(plot->low_y));
}

static double at_x(const sv_plot *plot, double x)
{
    double share = (x - plot->low_x) / (plot->high_x - plot->low_x);
    return plot->left + fmin(fmax(share, 0), 1) * (plot->width - plot->left - RIGHT);
}

static double at_y(const sv_plot *plot, double y)
{
    return TOP + (1 - fmin(fmax(share_y(plot, y), 0), 1)) * (plot->height - TOP - BOTTOM);
}

/* 1, 2 or 5 times a power of ten, for about `wanted` ticks. */
static double tick_step(double low, double high, int wanted)
{
    double rough = (high - low) / wanted, power = pow(10, floor(log10(rough))), m = rough / power;
    return power * (m < 1.5 ? 1 : m < 3.5 ? 2 : m < 7.5 ? 5 : 10);
}

static void tick_x(sv_plot *plot, double x)
{
    char text[32];
    snprintf(text, sizeof text, "%.4g", fabs(x) < 1e-12 ? 0 : x);
    plot->failed |= sv_buffer_format(plot->svg, "<path class=\"gr\" d=\"M%.1f %dV%d\"/>", at_x(plot, x), TOP, plot->height - BOTTOM) != 0;
    put_text(plot, "", at_x(plot, x), plot->height - BOTTOM + 16, "middle", text);
}

static void tick_y(sv_plot *plot, double y)
{
    char text[32];
    snprintf(text, sizeof text, "%.4g", fabs(y) < 1e-12 * (plot->high_y - plot->low_y) ? 0 : y);
    plot->failed |= sv_buffer_format(plot->svg, "<path class=\"gr\" d=\"M%d %.1fH%d\"/>", plot->left, at_y(plot, y), plot->width - RIGHT) != 0;
    put_text(plot, "", plot->left - 6, at_y(plot, y) + 4, "end", text);
}

static void ticks(sv_plot *plot, int y_ticks)
{
    double step = tick_step(plot->low_x, plot->high_x, 6);
    for (double x = ceil(plot->low_x / step - 1e-9) * step; x <= plot->high_x + 1e-9 * step; x += step)
        tick_x(plot, x);
    if (!y_ticks) return;
    if (plot->log_y) {
        double decades = log10(plot->high_y / plot->low_y), jump = pow(10, ceil(decades / 7));
        for (double y = pow(10, ceil(log10(plot->low_y) - 1e-9)); y <= plot->high_y * 1.0001; y *= jump)
            tick_y(plot, y);
        return;
    }
    step = tick_step(plot->low_y, plot->high_y, 5);
    for (double y = ceil(plot->low_y / step - 1e-9) * step; y <= plot->high_y + 1e-9 * step; y += step)
        tick_y(plot, y);
}

void sv_plot_begin(sv_plot *plot, const char *title, const char *x_name, const char *y_name, int y_ticks)
{
    if (!(plot->high_x > plot->low_x)) plot->high_x = plot->low_x + 1;
    if (!(plot->high_y > plot->low_y)) plot->high_y = plot->low_y + (plot->log_y ? plot->low_y : 1);
    plot->failed |= sv_buffer_format(plot->svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"pl\" role=\"img\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">", plot->width,
                                     plot->height, plot->width, plot->height) != 0;
    put(plot, style);
    plot->failed |= sv_buffer_format(plot->svg, "<rect class=\"bg\" width=\"%d\" height=\"%d\"/>", plot->width, plot->height) != 0;
    put_text(plot, " class=\"ti\"", 12, 20, "start", title);
    ticks(plot, y_ticks);
    put_text(plot, "", (plot->left + plot->width - RIGHT) / 2.0, plot->height - 8, "middle", x_name);
    if (*y_name) {
        plot->failed |= sv_buffer_format(plot->svg, "<text transform=\"translate(14 %d) rotate(-90)\" text-anchor=\"middle\">", (TOP + plot->height - BOTTOM) / 2) != 0;
        plot->failed |= sv_markup_text(plot->svg, y_name) != 0;
        put(plot, "</text>");
    }
    plot->failed |= sv_buffer_format(plot->svg, "<path class=\"fr\" d=\"M%d %dV%dH%d\"/>", plot->left, TOP, plot->height - BOTTOM, plot->width - RIGHT) != 0;
}

void sv_plot_line(sv_plot *plot, const double *x, const double *y, size_t n, sv_series series)
{
    int down = 0;
    plot->failed |= sv_buffer_format(plot->svg, "<path class=\"l s%d\" d=\"", (int)series) != 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(x[i]) || isnan(y[i])) {
            down = 0;
            continue;
        }
        plot->failed |= sv_buffer_format(plot->svg, "%c%.1f %.1f", down ? 'L' : 'M', at_x(plot, x[i]), at_y(plot, y[i])) != 0;
        down = 1;
    }
    put(plot, "\"/>");
}

void sv_plot_bar(sv_plot *plot, double x0, double x1, double y, sv_series series)
{
    double top = at_y(plot, y), left = at_x(plot, x0);
    plot->failed |= sv_buffer_format(plot->svg, "<rect class=\"b f%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", (int)series, left, top,
                                     fmax(at_x(plot, x1) - left - 0.5, 0.5), fmax(plot->height - BOTTOM - top, 0)) != 0;
}

void sv_plot_point(sv_plot *plot, double x, double y, double low_x, double high_x, double low_y, double high_y, sv_series series)
{
    if (!isnan(low_x)) plot->failed |= sv_buffer_format(plot->svg, "<path class=\"l s%d\" d=\"M%.1f %.1fH%.1f\"/>", (int)series, at_x(plot, low_x), at_y(plot, y), at_x(plot, high_x)) != 0;
    if (!isnan(low_y)) plot->failed |= sv_buffer_format(plot->svg, "<path class=\"l s%d\" d=\"M%.1f %.1fV%.1f\"/>", (int)series, at_x(plot, x), at_y(plot, low_y), at_y(plot, high_y)) != 0;
    plot->failed |= sv_buffer_format(plot->svg, "<circle class=\"f%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>", (int)series, at_x(plot, x), at_y(plot, y)) != 0;
}

void sv_plot_label_y(sv_plot *plot, double y, const char *text)
{
    put_text(plot, "", plot->left - 6, at_y(plot, y) + 4, "end", text);
}

void sv_plot_key(sv_plot *plot, const char *text, sv_series series)
{
    int x = 12 + 148 * plot->n_keys++;
    plot->failed |= sv_buffer_format(plot->svg, "<path class=\"l s%d\" d=\"M%d 33h16\"/>", (int)series, x) != 0;
    put_text(plot, "", x + 21, 37, "start", text);
}

void sv_plot_end(sv_plot *plot)
{
    put(plot, "</svg>");
}
