// NEON: four registers for 16 lanes.

#include "internal.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#pragma STDC FP_CONTRACT OFF
#include "vectors.h"

typedef int32_t vi4 __attribute__((ext_vector_type(4)));

static inline __attribute__((always_inline)) vi4 dot_quarter(int16x8_t w, int16x8_t x) {
  int32x4_t low = vmull_s16(vget_low_s16(w), vget_low_s16(x));
  int32x4_t high = vmull_high_s16(w, x);
  return ((vi4)(vpaddq_s32(low, high)));
}

static inline __attribute__((always_inline)) vi dot_pairs(vi acc, vs w, vi x) {
  vs pairs = ((vs)(x));
  vi products;
  products.lo.lo = dot_quarter(((int16x8_t)(w.lo.lo)), ((int16x8_t)(pairs.lo.lo)));
  products.lo.hi = dot_quarter(((int16x8_t)(w.lo.hi)), ((int16x8_t)(pairs.lo.hi)));
  products.hi.lo = dot_quarter(((int16x8_t)(w.hi.lo)), ((int16x8_t)(pairs.hi.lo)));
  products.hi.hi = dot_quarter(((int16x8_t)(w.hi.hi)), ((int16x8_t)(pairs.hi.hi)));
  return acc + products;
}

static inline __attribute__((always_inline)) vi dot_memory(vi acc, vs w, const int32_t *x) {
  return dot_pairs(acc, w, (vi)(*x));
}

static inline __attribute__((always_inline)) vf gather16(const float *table, vi index) {
  vf out;
  for (int i = 0; i < 16; i++) out[i] = table[index[i]];
  return out;
}
static inline __attribute__((always_inline)) vf lookup16(vf table, vi index) {
  float memory[16];
  memcpy(memory, &table, sizeof memory);
  return gather16(memory, index & 15);
}

static inline __attribute__((always_inline)) vf fma_memory(vf acc, vf w, const float *x) {
  return __builtin_elementwise_fma(w, (vf)(*x), acc);
}

#define YK_NAME yk_neon_kernels
#define YK_ISA YK_ISA_NEON
#define YK_LABEL "NEON"
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

#endif
