// AVX-512: one register holds all 16 lanes.

#include "internal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"))), apply_to = function)
#include "vectors.h"

static inline __attribute__((always_inline)) vi dot_pairs(vi acc, vs w, vi x) {
  return acc + ((vi)(_mm512_madd_epi16(((__m512i)(w)), ((__m512i)(x)))));
}

static inline __attribute__((always_inline)) vi dot_memory(vi acc, vs w, const int32_t *x) {
  return dot_pairs(acc, w, (vi)(*x));
}

#include "avx512_operations.h"

#define YK_NAME yk_avx512_kernels
#define YK_ISA YK_ISA_AVX512
#define YK_LABEL "AVX-512"
#define YK_TILE_FLOAT 8
#define YK_TILE_PANELS 3
#define YK_ROWS_FLOAT 12
#define YK_FLOAT_PANELS 2
#define YK_MOST_ROWS 12
#define YK_MOST_PANELS 3
#define YK_TILE_INT16 6
#define YK_SHARED_PAIRS 1
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
