// AVX2 + FMA + F16C: two registers for 16 lanes.

#include "internal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#include "vectors.h"

typedef int32_t vi8 __attribute__((ext_vector_type(8)));
typedef int16_t vs16 __attribute__((ext_vector_type(16)));

static inline __attribute__((always_inline)) vi dot_pairs(vi acc, vs w, vi x) {
  vs pairs = ((vs)(x));
  __m256i low = _mm256_madd_epi16(((__m256i)(w.lo)), ((__m256i)(pairs.lo)));
  __m256i high = _mm256_madd_epi16(((__m256i)(w.hi)), ((__m256i)(pairs.hi)));
  vi products;
  products.lo = ((vi8)(low));
  products.hi = ((vi8)(high));
  return acc + products;
}

static inline __attribute__((always_inline)) vi dot_memory(vi acc, vs w, const int32_t *x) {
  return dot_pairs(acc, w, (vi)(*x));
}

static inline __attribute__((always_inline)) __m256 lookup8(vf table, __m256i index) {
  __m256 low = _mm256_permutevar8x32_ps(((__m256)(table.lo)), index);
  __m256 high = _mm256_permutevar8x32_ps(((__m256)(table.hi)), index);
  // The sign bit chooses; bit 3 goes there.
  return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
}
static inline __attribute__((always_inline)) vf lookup16(vf table, vi index) {
  vf out;
  out.lo = ((vf8)(lookup8(table, ((__m256i)(index.lo)))));
  out.hi = ((vf8)(lookup8(table, ((__m256i)(index.hi)))));
  return out;
}
static inline __attribute__((always_inline)) vf gather16(const float *table, vi index) {
  vf out;
  out.lo = ((vf8)(_mm256_i32gather_ps(table, ((__m256i)(index.lo)), 4)));
  out.hi = ((vf8)(_mm256_i32gather_ps(table, ((__m256i)(index.hi)), 4)));
  return out;
}

static inline __attribute__((always_inline)) vf fma_memory(vf acc, vf w, const float *x) {
  return __builtin_elementwise_fma(w, (vf)(*x), acc);
}

#define YK_NAME yk_avx2_kernels
#define YK_ISA YK_ISA_AVX2
#define YK_LABEL "AVX2+FMA"
#define YK_TILE_FLOAT 6
#define YK_TILE_PANELS 1
#define YK_ROWS_FLOAT 6
#define YK_FLOAT_PANELS 1
#define YK_MOST_ROWS 6
#define YK_MOST_PANELS 1
#define YK_TILE_INT16 4
#define YK_SHARED_PAIRS 1
#define YK_INT16_PANELS 1
#define YK_COLUMNS_FLOAT 256
#define YK_COLUMNS_INT16 512
#define YK_FEW_FLOAT 6
#define YK_FEW_INT16 4
#define YK_FEW_SUMS 4
#define YK_QUERIES 2
#define YK_PREFETCH 4096
#include "vector_kernels.h"

#pragma clang attribute pop
#endif
