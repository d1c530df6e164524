/* log.h: lines for a person, on standard error. Leaves out: files, rotation. Never a secret in a line. */
#ifndef SV_LOG_H
#define SV_LOG_H

typedef enum sv_log_level { SV_LOG_DEBUG, SV_LOG_INFO, SV_LOG_WARN, SV_LOG_ERROR, SV_LOG_OFF } sv_log_level;

/* What is below the level is dropped. Starts as SV_LOG_WARN, or what SOLVENT_LOG says (debug, info, warn, error, off). */
void sv_log_set_level(sv_log_level level);
sv_log_level sv_log_get_level(void);

/* Where lines go instead of standard error; NULL: back to it. The sink gets the line, spelt out like the others, without a newline and may be called from any thread. */
void sv_log_set_sink(void (*sink)(void *context, sv_log_level level, const char *line), void *context);

/* One line, at most 4,000 bytes, written by one write(2); what could drive a terminal is spelt out (sv_text_line). */
void sv_log(sv_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for what a command has to say whatever the level: at most 4,000 bytes on standard error, never to the sink. A message may have several lines. */
void sv_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
