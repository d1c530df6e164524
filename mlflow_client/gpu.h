/* gpu.h: what NVIDIA's management library says of its GPUs, when the machine has it (libnvidia-ml.so.1, opened at run time). One thread at a time. */
#ifndef MLF_GPU_H
#define MLF_GPU_H

enum { MLF_GPU_METRICS = 5, MLF_GPU_MOST = 16 };
extern const char *const mlf_gpu_metric_names[MLF_GPU_METRICS];

typedef struct mlf_gpus mlf_gpus;

mlf_gpus *mlf_gpus_open(void);           /* NULL when there is no library, no GPU or no memory */
void mlf_gpus_close(mlf_gpus *gpus);     /* accepts NULL */
int mlf_gpus_count(const mlf_gpus *gpus); /* 0 for NULL */

/* values: (mlf_gpus_count, MLF_GPU_METRICS), NaN where the library has no answer. */
void mlf_gpus_read(mlf_gpus *gpus, double *values);

#endif
