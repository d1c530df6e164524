// mlflow_client.hpp: MLflow for C++17, a face of RAII over mlflow_client.h. Header only; link libmlflow-client.
// What goes wrong is thrown as mlflow::error. Objects are moved, not copied. Threads: as the C functions beneath say.
#ifndef MLFLOW_CLIENT_HPP
#define MLFLOW_CLIENT_HPP

#include "mlflow_client.h"

#include <cstdint>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mlflow {

class error : public std::runtime_error {
public:
    explicit error(int code, const mlf_error &e = {}) : std::runtime_error(e.message[0] ? e.message : mlf_code_name(code)), code_(code), error_(e) {}
    int code() const noexcept { return code_; }                              // mlf_code
    int http_status() const noexcept { return error_.http_status; }          // 0: no HTTP answer came
    const char *error_code() const noexcept { return error_.error_code; }    // MLflow's own name, or ""
    bool is_retriable() const noexcept { return mlf_error_is_retriable(&error_) != 0; }

private:
    int code_;
    mlf_error error_;
};

using pairs = std::vector<std::pair<std::string, std::string>>;

namespace detail {

// Calls f(…, &error) and throws what it reports.
template <class F, class... A> void call(F f, A... arguments)
{
    mlf_error e{};
    if (int code = f(arguments..., &e))
        throw error(code, e);
}

inline error state(std::string_view message)
{
    mlf_error e{};
    e.code = MLF_E_STATE;
    message.copy(e.message, sizeof e.message - 1);
    return error(MLF_E_STATE, e);
}

struct free_text {
    void operator()(char *text) const noexcept { mlf_free(text); }
};
using text = std::unique_ptr<char, free_text>;

inline std::string take(char *raw)
{
    text owned(raw);
    return owned ? std::string(owned.get()) : std::string();
}

inline const char *or_null(const std::string &s) { return s.empty() ? nullptr : s.c_str(); }

inline std::vector<mlf_pair> view(const pairs &items)
{
    std::vector<mlf_pair> out;
    for (const auto &item : items)
        out.push_back({item.first.c_str(), item.second.c_str()});
    return out;
}

inline std::vector<const char *> view(const std::vector<std::string> &items)
{
    std::vector<const char *> out;
    for (const auto &item : items)
        out.push_back(item.c_str());
    return out;
}

} // namespace detail

// A JSON object that is borrowed: it lives as long as what it came from. Paths: "info.run_id", "data.params[0].key".
class view {
public:
    view(const mlf_object *object = nullptr) : object_(object) {}
    explicit operator bool() const noexcept { return object_ != nullptr; }
    const mlf_object *get() const noexcept { return object_; }
    std::string string(const std::string &path) const
    {
        const char *text = mlf_object_string(object_, path.c_str());
        return text ? text : "";
    }
    std::optional<std::int64_t> integer(const std::string &path) const
    {
        std::int64_t value;
        return mlf_object_integer(&value, object_, path.c_str()) ? std::nullopt : std::optional(value);
    }
    std::optional<double> number(const std::string &path) const
    {
        double value;
        return mlf_object_double(&value, object_, path.c_str()) ? std::nullopt : std::optional(value);
    }
    bool flag(const std::string &path) const { return mlf_object_flag(object_, path.c_str()) != 0; }
    std::size_t count(const std::string &path) const { return mlf_object_count(object_, path.c_str()); }
    view item(const std::string &path, std::size_t i) const { return mlf_object_item(object_, path.c_str(), i); }
    // The value that belongs to key in a list of {key, value}: lookup("data.params", "alpha").
    std::string lookup(const std::string &path, const std::string &key) const
    {
        const char *text = mlf_object_lookup(object_, path.c_str(), key.c_str());
        return text ? text : "";
    }
    std::string json(int indent = 0) const { return detail::take(mlf_object_text(object_, indent)); }

private:
    const mlf_object *object_;
};

// A JSON object of one's own.
class object {
public:
    object() : object(mlf_object_new())
    {
        if (!owned_)
            throw error(MLF_E_MEMORY);
    }
    explicit object(mlf_object *taken) : owned_(taken) {}
    static object parse(const std::string &json)
    {
        mlf_object *out = nullptr;
        detail::call(mlf_object_parse, &out, json.c_str());
        return object(out);
    }
    operator view() const noexcept { return owned_.get(); }
    view operator*() const noexcept { return owned_.get(); }
    mlf_object *get() const noexcept { return owned_.get(); }
    object &set(const std::string &path, const std::string &value) { return checked(mlf_object_set_string(owned_.get(), path.c_str(), value.c_str())); }
    object &set(const std::string &path, const char *value) { return checked(mlf_object_set_string(owned_.get(), path.c_str(), value)); }
    object &set(const std::string &path, std::int64_t value) { return checked(mlf_object_set_integer(owned_.get(), path.c_str(), value)); }
    object &set(const std::string &path, int value) { return set(path, static_cast<std::int64_t>(value)); }
    object &set(const std::string &path, double value) { return checked(mlf_object_set_double(owned_.get(), path.c_str(), value)); }
    object &set(const std::string &path, bool value) { return checked(mlf_object_set_flag(owned_.get(), path.c_str(), value)); }

private:
    struct release {
        void operator()(mlf_object *o) const noexcept { mlf_object_free(o); }
    };
    object &checked(int code)
    {
        if (code)
            throw error(code);
        return *this;
    }
    std::unique_ptr<mlf_object, release> owned_;
};

// What a search finds, page by page: for (mlflow::view run : client.search_runs(query)) … An item lives until the next one.
class results {
public:
    explicit results(mlf_iterator *taken) : owned_(taken) {}

    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = view;
        using difference_type = std::ptrdiff_t;
        using pointer = const view *;
        using reference = view;
        explicit iterator(mlf_iterator *from = nullptr) : from_(from)
        {
            if (from_)
                ++*this;
        }
        view operator*() const noexcept { return item_; }
        iterator &operator++()
        {
            mlf_error e{};
            const mlf_object *item = nullptr;
            int code = mlf_iterator_next(&item, from_, &e);
            if (code && code != MLF_E_END)
                throw error(code, e);
            item_ = view(item);
            if (code)
                from_ = nullptr;
            return *this;
        }
        void operator++(int) { ++*this; }
        bool operator==(const iterator &other) const noexcept { return from_ == other.from_; }
        bool operator!=(const iterator &other) const noexcept { return from_ != other.from_; }

    private:
        mlf_iterator *from_;
        view item_;
    };

    iterator begin() { return iterator(owned_.get()); }
    iterator end() { return iterator(); }

private:
    struct release {
        void operator()(mlf_iterator *i) const noexcept { mlf_iterator_free(i); }
    };
    std::unique_ptr<mlf_iterator, release> owned_;
};

struct query {
    std::string filter;
    std::vector<std::string> order_by, experiment_ids;
};

struct model_info {
    std::string uri, name, version, alias, run_id, model_id, artifact_uri, description; // "" where there is none
};

struct artifact {
    std::string path;
    bool is_dir;
    std::int64_t size_bytes; // -1: not said
};

// One server, its credentials, its connections. What runs of it logged is flushed when it goes; it must outlive them.
class client {
public:
    explicit client(const std::string &tracking_uri = "", bool offline = false)
    {
        mlf_client_options options{};
        options.version = MLF_ABI_VERSION;
        options.offline = offline ? 1 : -1;
        options.max_retries = -1;
        options.tracking_uri = detail::or_null(tracking_uri);
        mlf_client *out = nullptr;
        detail::call(mlf_client_new, &out, static_cast<const mlf_client_options *>(&options));
        owned_.reset(out);
    }
    mlf_client *get() const noexcept { return owned_.get(); }
    std::string tracking_uri() const { return mlf_client_tracking_uri(get()); }
    void flush(int timeout_ms = -1) { detail::call(mlf_flush, get(), timeout_ms); }
    std::string request(const std::string &method, const std::string &path, const std::string &body = "")
    {
        char *reply = nullptr;
        std::size_t length = 0;
        detail::call(mlf_request_bytes, &reply, &length, get(), method.c_str(), path.c_str(), static_cast<const void *>(detail::or_null(body)), body.size());
        detail::text owned(reply);
        return std::string(reply, length);
    }
    object call(const std::string &endpoint, const object &arguments = object())
    {
        mlf_object *reply = nullptr;
        detail::call(mlf_call, &reply, get(), endpoint.c_str(), static_cast<const mlf_object *>(arguments.get()));
        return object(reply);
    }
    std::string ensure_experiment(const std::string &name = "")
    {
        char *id = nullptr;
        detail::call(mlf_experiment_ensure, &id, get(), detail::or_null(name));
        return detail::take(id);
    }
    object get_run(const std::string &run_id)
    {
        mlf_object *run = nullptr;
        detail::call(mlf_runs_get, &run, get(), run_id.c_str());
        return object(run);
    }
    results search_experiments(const query &q = {}) { return search(mlf_experiments_search, q); }
    results search_runs(const query &q) { return search(mlf_runs_search, q); }
    results search_models(const query &q = {}) { return search(mlf_registered_models_search, q); }
    results search_versions(const query &q = {}) { return search(mlf_model_versions_search, q); }
    void set_alias(const std::string &name, const std::string &alias, const std::string &version)
    {
        detail::call(mlf_alias_set, get(), name.c_str(), alias.c_str(), version.c_str());
    }
    model_info resolve(const std::string &uri)
    {
        mlf_model_info *raw = nullptr;
        detail::call(mlf_model_resolve, &raw, get(), uri.c_str());
        std::unique_ptr<mlf_model_info, decltype(&mlf_model_info_free)> found(raw, &mlf_model_info_free);
        auto text = [](const char *s) { return s ? std::string(s) : std::string(); };
        return {text(found->uri), text(found->name), text(found->version), text(found->alias), text(found->run_id), text(found->model_id), text(found->artifact_uri), text(found->description)};
    }
    void download(const std::string &uri, const std::string &folder) { detail::call(mlf_artifacts_download, get(), uri.c_str(), folder.c_str()); }
    void upload(const std::string &local_path, const std::string &uri)
    {
        detail::call(mlf_artifacts_upload, get(), local_path.c_str(), uri.c_str(), static_cast<const mlf_transfer_options *>(nullptr));
    }
    void remove(const std::string &uri) { detail::call(mlf_artifacts_delete, get(), uri.c_str()); }
    std::vector<artifact> list(const std::string &uri)
    {
        mlf_artifact *items = nullptr;
        std::size_t count = 0;
        detail::call(mlf_artifacts_list, &items, &count, get(), uri.c_str());
        auto free_items = [count](mlf_artifact *a) { mlf_artifacts_free(a, count); };
        std::unique_ptr<mlf_artifact, decltype(free_items)> owned(items, free_items);
        std::vector<artifact> out;
        for (std::size_t i = 0; i < count; i++)
            out.push_back({items[i].path, items[i].is_dir != 0, items[i].size_bytes});
        return out;
    }

private:
    struct release {
        void operator()(mlf_client *c) const noexcept { mlf_client_free(c); }
    };
    template <class F> results search(F f, const query &q)
    {
        auto order = detail::view(q.order_by), ids = detail::view(q.experiment_ids);
        mlf_query raw{};
        raw.version = MLF_ABI_VERSION;
        raw.filter = detail::or_null(q.filter);
        raw.order_by = order.data();
        raw.n_order_by = order.size();
        raw.experiment_ids = ids.data();
        raw.n_experiment_ids = ids.size();
        mlf_iterator *out = nullptr;
        detail::call(f, &out, get(), static_cast<const mlf_query *>(&raw));
        return results(out);
    }
    std::unique_ptr<mlf_client, release> owned_;
};

struct run_options {
    std::string experiment, name, run_id, parent_run_id, description;
    pairs tags;
};

struct model_options {
    std::string name = "model", model_type;
    pairs params, tags;
    std::vector<std::pair<std::string, double>> metrics;
};

struct register_options {
    std::string description, alias, model_description;
    pairs tags;
};

// A run. When it goes without end(), it ends FINISHED, or FAILED when an exception is on its way out.
class run {
public:
    explicit run(client &c, const run_options &o = {}) : exceptions_(std::uncaught_exceptions())
    {
        auto tags = detail::view(o.tags);
        mlf_run_options options{};
        options.version = MLF_ABI_VERSION;
        options.system_metrics = -1;
        options.experiment = detail::or_null(o.experiment);
        options.name = detail::or_null(o.name);
        options.run_id = detail::or_null(o.run_id);
        options.parent_run_id = detail::or_null(o.parent_run_id);
        options.description = detail::or_null(o.description);
        options.tags = tags.data();
        options.n_tags = tags.size();
        detail::call(mlf_run_create, &run_, c.get(), static_cast<const mlf_run_options *>(&options));
    }
    run(run &&other) noexcept : run_(std::exchange(other.run_, nullptr)), exceptions_(other.exceptions_) {}
    run &operator=(run &&other) noexcept
    {
        std::swap(run_, other.run_);
        return *this;
    }
    ~run()
    {
        if (run_)
            mlf_run_end(run_, std::uncaught_exceptions() > exceptions_ ? MLF_FAILED : MLF_FINISHED, nullptr);
    }
    mlf_run *get() const noexcept { return run_; }
    std::string id() const { return mlf_run_id(open()); }
    std::string experiment_id() const { return mlf_run_experiment_id(open()); }
    // Queues and returns; costs about as much as a function call and a copy.
    void log(const char *key, double value, std::int64_t step = 0)
    {
        if (int code = mlf_run_log_metric(open(), key, value, step)) {
            mlf_error e{};
            mlf_metric_key_check(key, &e); // says why, when it is the key
            if (code == MLF_E_STATE)
                throw detail::state("the run belongs to the parent process: a forked child makes its own client");
            throw error(code, e);
        }
    }
    void log(const std::string &key, double value, std::int64_t step = 0) { log(key.c_str(), value, step); }
    void param(const std::string &key, const std::string &value) { detail::call(mlf_run_log_param, open(), key.c_str(), value.c_str()); }
    void tag(const std::string &key, const std::string &value) { detail::call(mlf_run_set_tag, open(), key.c_str(), value.c_str()); }
    void input(const mlf_dataset &dataset) { detail::call(mlf_run_log_input, open(), &dataset); }
    void artifact(const std::string &local_path, const std::string &folder = "") { detail::call(mlf_run_log_artifact, open(), local_path.c_str(), detail::or_null(folder)); }
    void text(std::string_view content, const std::string &file) { detail::call(mlf_run_log_text, open(), content.data(), content.size(), file.c_str()); }
    std::string log_model(const std::string &folder, const model_options &o = {})
    {
        auto params = detail::view(o.params), tags = detail::view(o.tags);
        std::vector<const char *> keys;
        std::vector<double> values;
        for (const auto &metric : o.metrics) {
            keys.push_back(metric.first.c_str());
            values.push_back(metric.second);
        }
        mlf_model_options options{};
        options.version = MLF_ABI_VERSION;
        options.name = o.name.c_str();
        options.model_type = detail::or_null(o.model_type);
        options.params = params.data();
        options.n_params = params.size();
        options.tags = tags.data();
        options.n_tags = tags.size();
        options.metric_keys = keys.data();
        options.metric_values = values.data();
        options.n_metrics = keys.size();
        char *uri = nullptr;
        detail::call(mlf_run_log_model, &uri, open(), folder.c_str(), static_cast<const mlf_model_options *>(&options));
        return detail::take(uri);
    }
    // The new version, or "" while it waits in the journal.
    std::string register_model(const std::string &model_uri, const std::string &name, const register_options &o = {})
    {
        auto tags = detail::view(o.tags);
        mlf_register_options options{};
        options.version = MLF_ABI_VERSION;
        options.description = detail::or_null(o.description);
        options.alias = detail::or_null(o.alias);
        options.model_description = detail::or_null(o.model_description);
        options.tags = tags.data();
        options.n_tags = tags.size();
        char *version = nullptr;
        detail::call(mlf_model_register, &version, open(), model_uri.c_str(), name.c_str(), static_cast<const mlf_register_options *>(&options));
        return detail::take(version);
    }
    void end(mlf_status status = MLF_FINISHED)
    {
        open();
        detail::call(mlf_run_end, std::exchange(run_, nullptr), status);
    }

private:
    mlf_run *open() const
    {
        if (!run_)
            throw detail::state("the run has ended or was moved elsewhere");
        return run_;
    }

    mlf_run *run_ = nullptr;
    int exceptions_;
};

// Bytes from a URI. c may be NULL where it needs no tracking server.
class source {
public:
    explicit source(const std::string &uri, client *c = nullptr)
    {
        mlf_source *out = nullptr;
        detail::call(mlf_source_open, &out, c ? c->get() : nullptr, uri.c_str());
        owned_.reset(out);
    }
    // How many bytes came, 0 at the end.
    std::size_t read(void *bytes, std::size_t size)
    {
        std::size_t got = 0;
        detail::call(mlf_source_read, owned_.get(), bytes, size, &got);
        return got;
    }

private:
    struct release {
        void operator()(mlf_source *s) const noexcept { mlf_source_close(s); }
    };
    std::unique_ptr<mlf_source, release> owned_;
};

// Bytes to a URI: visible after commit(); without it nothing is left behind.
class sink {
public:
    explicit sink(const std::string &uri, client *c = nullptr)
    {
        mlf_sink *out = nullptr;
        detail::call(mlf_sink_open, &out, c ? c->get() : nullptr, uri.c_str());
        owned_.reset(out);
    }
    void write(const void *bytes, std::size_t length) { detail::call(mlf_sink_write, owned_.get(), bytes, length); }
    void write(std::string_view bytes) { write(bytes.data(), bytes.size()); }
    void commit() { detail::call(mlf_sink_commit, owned_.release()); }

private:
    struct release {
        void operator()(mlf_sink *s) const noexcept { mlf_sink_abort(s); }
    };
    std::unique_ptr<mlf_sink, release> owned_;
};

} // namespace mlflow

#endif
