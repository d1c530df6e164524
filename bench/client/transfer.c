/* transfer.c: one artifact, as a stream or a file, to or from any store.

       transfer write URI BYTES | read URI | upload FILE URI | download URI FOLDER

   A written stream is made of one block of noise, over and over. Prints one JSON object: bytes, seconds, CPU seconds, largest resident size. */
#include "mlflow_client.h"
#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char block[1 << 20];

static int write_stream(mlf_client *client, const char *uri, long long bytes, mlf_error *error)
{
    mlf_sink *sink = NULL;
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (char)(i * 2654435761u >> 13);
    int code = mlf_sink_open(&sink, client, uri, error);
    for (long long left = bytes; !code && left > 0; left -= (long long)sizeof block)
        code = mlf_sink_write(sink, block, left < (long long)sizeof block ? (size_t)left : sizeof block, error);
    if (!code)
        return mlf_sink_commit(sink, error);
    mlf_sink_abort(sink);
    return code;
}

static int read_stream(mlf_client *client, const char *uri, long long *bytes, mlf_error *error)
{
    mlf_source *source = NULL;
    size_t got = 1;
    int code = mlf_source_open(&source, client, uri, error);
    for (*bytes = 0; !code && got; *bytes += (long long)got)
        code = mlf_source_read(source, block, sizeof block, &got, error);
    mlf_source_close(source);
    return code;
}

int main(int argc, char **argv)
{
    mlf_client *client = NULL;
    mlf_error error = MLF_ERROR_INIT;
    long long bytes = 0;
    if (argc < 3)
        return 2;
    double begin = process_seconds();
    int code = mlf_client_new(&client, NULL, &error);
    if (!code && !strcmp(argv[1], "write") && argc > 3)
        code = write_stream(client, argv[2], bytes = atoll(argv[3]), &error);
    else if (!code && !strcmp(argv[1], "read"))
        code = read_stream(client, argv[2], &bytes, &error);
    else if (!code && !strcmp(argv[1], "upload") && argc > 3)
        code = mlf_artifacts_upload(client, argv[2], argv[3], NULL, &error);
    else if (!code && argc > 3)
        code = mlf_artifacts_download(client, argv[2], argv[3], &error);
    mlf_client_free(client);
    double took = process_seconds() - begin;
    double cpu = process_cpu_s();
    printf("{\"code\": %d, \"bytes\": %lld, \"seconds\": %.4f, \"cpu_s\": %.4f, \"resident_kb\": %ld}\n", code, bytes, took, cpu, process_resident_kb());
    if (code)
        fprintf(stderr, "%s\n", error.message);
    return code != 0;
}
