/* plot.h: one chart as SVG text, legible alone and inside a page, in light and dark. Leaves out: what is drawn (report_plots.c). */
#ifndef SV_PLOT_H
#define SV_PLOT_H

#include "buffer.h"

#include <stddef.h>

/* Colours by series, the same in every chart. */
typedef enum sv_series { SV_SERIES_A, SV_SERIES_B, SV_SERIES_C, SV_SERIES_QUIET } sv_series;

typedef struct sv_plot {
    sv_buffer *svg;   /* borrowed; memory running out leaves it cut and `failed` set */
    double low_x, high_x, low_y, high_y;
    int log_y;        /* y is drawn by its logarithm; low_y > 0 */
    int width, height, left; /* pixels; left: room for labels of y */
    int n_keys, failed;
} sv_plot;

#define SV_PLOT(buffer, x0, x1, y0, y1) {.svg = (buffer), .low_x = (x0), .high_x = (x1), .low_y = (y0), .high_y = (y1), .width = 460, .height = 320, .left = 58}

/* Frame, grid, numbers, names. y_ticks 0: the caller labels y itself (sv_plot_label_y). */
void sv_plot_begin(sv_plot *plot, const char *title, const char *x_name, const char *y_name, int y_ticks);
void sv_plot_line(sv_plot *plot, const double *x, const double *y, size_t n, sv_series series); /* NaN breaks the line */
void sv_plot_bar(sv_plot *plot, double x0, double x1, double y, sv_series series);   /* from the bottom of the frame to y */
void sv_plot_point(sv_plot *plot, double x, double y, double low_x, double high_x, double low_y, double high_y, sv_series series); /* NaN limits: no whisker */
void sv_plot_label_y(sv_plot *plot, double y, const char *text);
void sv_plot_key(sv_plot *plot, const char *text, sv_series series); /* a line of the legend, below the title */
void sv_plot_end(sv_plot *plot);

/* Appends text with < > & " made harmless. */
int sv_markup_text(sv_buffer *out, const char *text);

#endif
