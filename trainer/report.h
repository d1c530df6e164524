/* report.h: what a person reads about a training: report.html, self-contained, light and dark, and the same plots as SVG files. */
#ifndef SV_REPORT_H
#define SV_REPORT_H

#include "buffer.h"
#include "evaluate.h"
#include "fit.h"

/* Everything the report may speak of; NULL where there is none. Texts are borrowed. */
typedef struct sv_report {
    const sv_config *config;
    const sv_pipeline *pipeline;
    const sv_dataset *dataset;
    const sv_fit_report *fit;
    const sv_evaluation *evaluation;
    const sv_fit_step *steps;  /* (n_steps) of the fit, for the curve of the loss */
    size_t n_steps;
    const char *warnings;      /* the audit's findings, one a line */
    const char *run_id;
} sv_report;

/* Writes FOLDER/report.html and FOLDER/plots/NAME.svg (roc, pr, reliability, scores, cost, lift, coefficients, loss; those that apply). */
int sv_report_write(const char *folder, const sv_report *report, sv_error *error);

/* The same figures as a short Markdown card, for the model version's description. */
int sv_report_card(sv_buffer *markdown, const sv_report *report, sv_error *error);

#endif
