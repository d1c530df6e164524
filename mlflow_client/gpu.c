/* gpu.c: NVML's calls by name. The declarations are those of NVIDIA's public interface (nvml.h), of which only these few are needed. */
#include "gpu.h"

#include "alloc.h"

#include <dlfcn.h>
#include <math.h>
#include <string.h>

const char *const mlf_gpu_metric_names[MLF_GPU_METRICS] = {
    "memory_usage_percentage", "memory_usage_megabytes", "utilization_percentage", "power_usage_watts", "power_usage_percentage",
};

typedef void *device;
typedef struct memory_info { unsigned long long total, free, used; } memory_info;
typedef struct utilization { unsigned gpu, memory; } utilization;

struct mlf_gpus {
    void *library;
    int (*shutdown)(void);
    int (*memory)(device, memory_info *);
    int (*rates)(device, utilization *);
    int (*power)(device, unsigned *milliwatts);
    int (*limit)(device, unsigned *milliwatts);
    device devices[MLF_GPU_MOST];
    int count;
};

/* A function of the library into *where; POSIX says that this conversion works. */
static int find(void *library, const char *name, void *where)
{
    void *symbol = dlsym(library, name);
    memcpy(where, &symbol, sizeof symbol);
    return symbol != NULL;
}

static int list_devices(mlf_gpus *gpus)
{
    int (*init)(void), (*count)(unsigned *), (*handle)(unsigned, device *);
    unsigned n = 0;
    if (!find(gpus->library, "nvmlInit_v2", &init) || !find(gpus->library, "nvmlDeviceGetCount_v2", &count) || !find(gpus->library, "nvmlDeviceGetHandleByIndex_v2", &handle) ||
        !find(gpus->library, "nvmlShutdown", &gpus->shutdown))
        return 0;
    find(gpus->library, "nvmlDeviceGetMemoryInfo", &gpus->memory);
    find(gpus->library, "nvmlDeviceGetUtilizationRates", &gpus->rates);
    find(gpus->library, "nvmlDeviceGetPowerUsage", &gpus->power);
    find(gpus->library, "nvmlDeviceGetEnforcedPowerLimit", &gpus->limit);
    if (init()) {
        gpus->shutdown = NULL;
        return 0;
    }
    if (count(&n))
        return 0;
    for (unsigned i = 0; i < n && i < MLF_GPU_MOST && !handle(i, &gpus->devices[i]); i++)
        gpus->count++;
    return gpus->count;
}

mlf_gpus *mlf_gpus_open(void)
{
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    mlf_gpus *gpus = library ? sv_calloc(1, sizeof *gpus) : NULL;
    if (!gpus) {
        if (library)
            dlclose(library);
        return NULL;
    }
    gpus->library = library;
    if (list_devices(gpus))
        return gpus;
    mlf_gpus_close(gpus);
    return NULL;
}

void mlf_gpus_close(mlf_gpus *gpus)
{
    if (!gpus)
        return;
    if (gpus->shutdown)
        gpus->shutdown();
    dlclose(gpus->library);
    sv_free(gpus);
}

int mlf_gpus_count(const mlf_gpus *gpus)
{
    return gpus ? gpus->count : 0;
}

static void read_one(const mlf_gpus *gpus, device gpu, double values[MLF_GPU_METRICS])
{
    memory_info memory;
    utilization rates;
    unsigned used_mw, limit_mw;
    for (int i = 0; i < MLF_GPU_METRICS; i++)
        values[i] = NAN;
    if (gpus->memory && !gpus->memory(gpu, &memory)) {
        values[0] = 100 * (double)memory.used / (double)memory.total;
        values[1] = (double)memory.used / 1e6;
    }
    if (gpus->rates && !gpus->rates(gpu, &rates))
        values[2] = rates.gpu;
    if (gpus->power && !gpus->power(gpu, &used_mw)) {
        values[3] = used_mw / 1e3;
        if (gpus->limit && !gpus->limit(gpu, &limit_mw))
            values[4] = 100.0 * used_mw / limit_mw;
    }
}

void mlf_gpus_read(mlf_gpus *gpus, double *values)
{
    for (int i = 0; i < mlf_gpus_count(gpus); i++)
        read_one(gpus, gpus->devices[i], values + MLF_GPU_METRICS * i);
}
