#include "system_metrics.h"

void mlf_sampler_stop(mlf_sampler *sampler)
{
}
