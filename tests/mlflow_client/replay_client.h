/* replay_client.h: a client of a replay server. For tests. */
#ifndef REPLAY_CLIENT_H
#define REPLAY_CLIENT_H

#include "client.h"
#include "replay_server.h"

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

mlf_client *replay_client(const replay_server *server, int max_retries); /* without waits between retries */
int replay_get(mlf_client *client, mlf_http_reply *reply, mlf_error *error, mlf_http_flags flags); /* GET /x */
void replay_unset_environment(void); /* what the developer's own environment says of servers and credentials */

#endif
