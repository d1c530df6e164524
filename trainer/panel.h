/* panel.h: transactions as one row for each entity and period: aggregates, what is carried forward, and lag() and lead() as columns.

   A feature may see its row's own period and earlier ones; only the target may see a later one. That is checked from the expressions alone (panel_check.c). */
#ifndef SV_PANEL_H
#define SV_PANEL_H

#include "config.h"
#include "expr.h"
#include "table.h"
#include "team.h"

/* Replaces *table by the panel: entity, period (its first day, under the name of panel.time), the aggregates; then a column for each lag(), lead(), rolling_mean() and
   rolling_sum() that features and target call. Rows stand by entity, then period; from an entity's first period to the panel's last none is left out. */
int sv_panel_build(sv_table *table, const sv_config *config, sv_team *team, sv_error *error);

/* panel_shift.c. Puts the names of such columns in the place of the calls; SV_E_CONFIG where there is no panel. */
int sv_panel_substitute(sv_expr *expr, const sv_config *config, sv_error *error);

/* Adds the columns that features and target call for. table: a panel's, grouped by its first column. */
int sv_panel_shift(sv_table *table, const sv_config *config, sv_team *team, sv_error *error);

/* 1 when a column of that name holds a later period's value: lead() made it. */
int sv_panel_is_future(const char *name);

/* panel_check.c. SV_E_CONFIG when a feature that may enter the model, the offset or the baseline looks ahead, directly or through another. Needs no data. */
int sv_panel_check(const sv_config *config, sv_error *error);

/* 1 when that expression calls lead(), directly or through features. */
int sv_panel_looks_ahead(const sv_config *config, const char *text);

#endif
