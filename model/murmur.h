/* murmur.h: MurmurHash3_x86_32 (Austin Appleby, public domain algorithm), seed 0: the hash that ONNX's runtimes and scikit-learn's hashers share. */
#ifndef SV_MURMUR_H
#define SV_MURMUR_H

#include <stddef.h>
#include <stdint.h>

uint32_t sv_murmur3(const char *text, size_t length);

#endif
