/* artifacts.c: a file goes up, is listed, comes back; then the same bytes as a stream from any URI (s3://, gs://, https://, a folder).
   cc artifacts.c $(pkg-config --cflags --libs mlflow-client) */
#include <mlflow_client.h>
#include <stdio.h>
#include <string.h>

static int show(mlf_client *client, const char *uri, mlf_error *error)
{
    mlf_artifact *items = NULL;
    size_t count = 0;
    int code = mlf_artifacts_list(&items, &count, client, uri, error);
    for (size_t i = 0; i < count; i++)
        printf("%s, %lld bytes\n", items[i].path, (long long)items[i].size_bytes);
    mlf_artifacts_free(items, count);
    return code;
}

static int copy_to_stdout(mlf_client *client, const char *uri, mlf_error *error)
{
    mlf_source *source = NULL;
    char chunk[4096];
    size_t got = 1;
    int code = mlf_source_open(&source, client, uri, error);
    while (!code && got)
        if (!(code = mlf_source_read(source, chunk, sizeof chunk, &got, error)))
            fwrite(chunk, 1, got, stdout);
    mlf_source_close(source);
    return code;
}

int main(void)
{
    static const char text[] = "hello from C\n";
    mlf_error error = MLF_ERROR_INIT;
    mlf_client *client = NULL;
    mlf_run *run = NULL;
    char uri[400];
    int code = mlf_client_new(&client, NULL, &error);
    if (!code)
        code = mlf_run_create(&run, client, NULL, &error);
    if (!code)
        code = mlf_run_log_text(run, text, strlen(text), "notes/hello.txt", &error);
    if (!code) {
        snprintf(uri, sizeof uri, "runs:/%s/notes", mlf_run_id(run));
        code = show(client, uri, &error);
    }
    if (!code) {
        strcat(uri, "/hello.txt");
        code = copy_to_stdout(client, uri, &error);
    }
    int ended = mlf_run_end(run, code ? MLF_FAILED : MLF_FINISHED, &error);
    mlf_client_free(client);
    if (code || ended)
        fprintf(stderr, "%s: %s\n", mlf_code_name(error.code), error.message);
    return code || ended;
}
