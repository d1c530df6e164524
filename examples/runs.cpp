// runs.cpp: a run in C++17, and the runs of its experiment, best first. c++ -std=c++17 runs.cpp $(pkg-config --cflags --libs mlflow-client)
#include <iostream>
#include <mlflow_client.hpp>

int main()
try {
    mlflow::client client; // MLFLOW_TRACKING_URI
    mlflow::run_options options;
    options.experiment = "examples";
    options.tags = {{"language", "C++"}};
    std::string experiment_id;
    {
        mlflow::run run(client, options); // ends FINISHED with the block, FAILED when an exception leaves it
        run.param("depth", "3");
        for (int step = 0; step < 10; step++)
            run.log("accuracy", 1.0 - 1.0 / (step + 2), step);
        run.text("what came of it\n", "report.txt");
        experiment_id = run.experiment_id();
    }
    mlflow::query query;
    query.experiment_ids = {experiment_id};
    query.filter = "tags.language = 'C++'";
    query.order_by = {"metrics.accuracy DESC"};
    for (mlflow::view found : client.search_runs(query))
        std::cout << found.string("info.run_name") << ": accuracy " << found.number("data.metrics[0].value").value_or(0) << ", depth "
                  << found.lookup("data.params", "depth") << '\n';
} catch (const mlflow::error &e) {
    std::cerr << mlf_code_name(e.code()) << ": " << e.what() << '\n';
    return 1;
}
