// AVX-512+VNNI: one register holds all 16 lanes.

#include "internal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"))), apply_to = function)
#include "vectors.h"

// In assembly, because the compiler splits the intrinsic into a product and a sum where it hopes to
// shorten a chain, which costs a second instruction on ports that are already full.
static inline __attribute__((always_inline)) vi dot_pairs(vi acc, vs w, vi x) {
  __asm__("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(w), "v"(x));
  return acc;
}
static inline __attribute__((always_inline)) vi dot_memory(vi acc, vs w, const int32_t *x) {
  __asm__("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(w), "m"(*x));
  return acc;
}

#include "avx512_operations.h"

#define YK_NAME yk_avx512_vnni_kernels
#define YK_ISA YK_ISA_AVX512_VNNI
#define YK_LABEL "AVX-512+VNNI"
#define YK_TILE_FLOAT 8
#define YK_TILE_PANELS 3
#define YK_ROWS_FLOAT 12
#define YK_FLOAT_PANELS 2
#define YK_MOST_ROWS 12
#define YK_MOST_PANELS 3
#define YK_TILE_INT16 6
#define YK_SHARED_PAIRS 3
#define YK_INT16_PANELS 2
#define YK_COLUMNS_FLOAT 128
#define YK_COLUMNS_INT16 320
#define YK_FEW_FLOAT 12
#define YK_FEW_INT16 12
#define YK_FEW_SUMS 12
#define YK_QUERIES 4
#define YK_PREFETCH 4096
#include "vector_kernels.h"

#pragma clang attribute pop
#endif
