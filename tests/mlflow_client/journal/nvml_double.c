/* nvml_double.c: stands in for NVIDIA's libnvidia-ml.so.1 on machines without a GPU, which those of the tests are: the same functions, figures from the environment.

       NVML_DOUBLE="TOTAL USED UTILIZATION MILLIWATTS LIMIT;…"      a device each; -1: that device does not tell */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, MOST = 8 };

typedef struct device {
    long long total, used, rate, power, limit;
} device;

typedef struct memory { unsigned long long total, free, used; } memory;
typedef struct rates { unsigned gpu, memory; } rates;

static device devices[MOST];
static unsigned n_devices;

int nvmlInit_v2(void), nvmlShutdown(void), nvmlDeviceGetCount_v2(unsigned *count), nvmlDeviceGetHandleByIndex_v2(unsigned i, device **out);
int nvmlDeviceGetMemoryInfo(const device *d, memory *out), nvmlDeviceGetUtilizationRates(const device *d, rates *out);
int nvmlDeviceGetPowerUsage(const device *d, unsigned *milliwatts), nvmlDeviceGetEnforcedPowerLimit(const device *d, unsigned *milliwatts);

int nvmlInit_v2(void)
{
    const char *at = getenv("NVML_DOUBLE");
    for (n_devices = 0; at && n_devices < MOST; at = strchr(at, ';'), at = at ? at + 1 : NULL) {
        device *d = &devices[n_devices];
        if (sscanf(at, "%lld %lld %lld %lld %lld", &d->total, &d->used, &d->rate, &d->power, &d->limit) != 5)
            return 1;
        n_devices++;
    }
    return n_devices ? SUCCESS : 1;
}

int nvmlShutdown(void)
{
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = n_devices;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned i, device **out)
{
    *out = &devices[i];
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(const device *d, memory *out)
{
    *out = (memory){(unsigned long long)d->total, (unsigned long long)(d->total - d->used), (unsigned long long)d->used};
    return d->total < 0 ? NOT_SUPPORTED : SUCCESS;
}

int nvmlDeviceGetUtilizationRates(const device *d, rates *out)
{
    *out = (rates){(unsigned)d->rate, 0};
    return d->rate < 0 ? NOT_SUPPORTED : SUCCESS;
}

int nvmlDeviceGetPowerUsage(const device *d, unsigned *milliwatts)
{
    *milliwatts = (unsigned)d->power;
    return d->power < 0 ? NOT_SUPPORTED : SUCCESS;
}

int nvmlDeviceGetEnforcedPowerLimit(const device *d, unsigned *milliwatts)
{
    *milliwatts = (unsigned)d->limit;
    return d->limit < 0 ? NOT_SUPPORTED : SUCCESS;
}
