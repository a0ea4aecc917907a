// The kernels, written once over vectors of 16 lanes; each instruction set's file defines
//   YK_NAME, YK_ISA, YK_LABEL      its table and names
//   YK_TILE_FLOAT, YK_TILE_PANELS  tokens and panels in registers in product_float
//   YK_ROWS_FLOAT, YK_FLOAT_PANELS likewise in attention's products
//   YK_MOST_ROWS, YK_MOST_PANELS   the larger of both
//   YK_TILE_INT16, YK_INT16_PANELS likewise in matmul_int16
//   YK_SHARED_PAIRS                of so many of a tile's pairs one is loaded for all panels
//   YK_COLUMNS_FLOAT, _INT16       columns whose panels and tile fit the first-level cache
//   YK_FEW_FLOAT, YK_FEW_INT16     most tokens of few_float and few_int16
//   YK_FEW_SUMS                    vectors of sums that few_int16 keeps in registers
//   YK_QUERIES                     queries in registers in attention
//   dot_pairs(acc, w, x)           acc[i] += w[2i] * x[2i] + w[2i+1] * x[2i+1]
//   dot_memory(acc, w, x)          likewise, of the pair *x in all lanes
//   fma_memory(acc, w, x)          acc + w * *x, rounded once
//   lookup16(table, index)         table[index[i] & 15], where higher bits may be set
//   gather16(table, index)         table[index[i]] from memory
// and includes this file with its target attribute pushed. The compiler splits the 16 lanes into
// what the machine has; order and rounding per lane are the same everywhere.

#define UNROLL _Pragma("clang loop unroll(full)")
#define INLINE static inline __attribute__((always_inline))

INLINE vf loadf(const float *p) { vf v; memcpy(&v, p, sizeof v); return v; }
INLINE void storef(float *p, vf v) { memcpy(p, &v, sizeof v); }
INLINE vi loadi(const void *p) { vi v; memcpy(&v, p, sizeof v); return v; }
INLINE vu loadu(const void *p) { vu v; memcpy(&v, p, sizeof v); return v; }
INLINE vf splat(float x) { return (vf)(x); }
INLINE vf fma16(vf a, vf b, vf c) { return __builtin_elementwise_fma(a, b, c); }
INLINE vf select16(vi mask, vf a, vf b) {
  return as_vf((mask & as_vi(a)) | (~mask & as_vi(b)));
}
INLINE vf maximum16(vf a, vf b) { return select16(a > b, a, b); }

INLINE vf load_half(const void *p) {
  vh v;
  memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, vf);
}
INLINE vf load_bfloat(const void *p) {
  vus v;
  memcpy(&v, p, sizeof v);
  return as_vf(__builtin_convertvector(v, vu) << 16);
}
INLINE vf load_element(yk_format format, const void *panel, size_t k) {
  const uint8_t *p = panel;
  if (format == YK_F32) return loadf((const float *)(const void *)(p + 64 * k));
  return format == YK_F16 ? load_half(p + 32 * k) : load_bfloat(p + 32 * k);
}
INLINE vf load_unsigned_bytes(const uint8_t *p) {
  vub v;
  memcpy(&v, p, sizeof v);
  return __builtin_convertvector(__builtin_convertvector(v, vi), vf);
}
INLINE vf load_signed_bytes(const uint8_t *p) {
  vb v;
  memcpy(&v, p, sizeof v);
  return __builtin_convertvector(__builtin_convertvector(v, vi), vf);
}

INLINE float tree16(vf v) {
  vf8 a = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
          __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  vf4 b = __builtin_shufflevector(a, a, 0, 1, 2, 3) + __builtin_shufflevector(a, a, 4, 5, 6, 7);
  return (b[0] + b[2]) + (b[1] + b[3]);
}
INLINE float largest16(vf v) {
  float m = v[0];
  for (int i = 1; i < 16; i++) m = v[i] > m ? v[i] : m;
  return m;
}

INLINE vf exp16(vf x) {
  vf c = select16(x < splat(YK_EXP_HIGH), x, splat(YK_EXP_HIGH));
  c = maximum16(c, splat(YK_EXP_LOW));
  vf t = fma16(c, splat(YK_LOG2E), splat(12582912.0f));
  vf n = t - splat(12582912.0f);
  vf r = fma16(n, splat(-YK_LN2_HI), c);
  r = fma16(n, splat(-YK_LN2_LO), r);
  vf p = fma16(splat(YK_EXP_C5), r, splat(YK_EXP_C4));
  p = fma16(p, r, splat(YK_EXP_C3));
  p = fma16(p, r, splat(YK_EXP_C2));
  p = fma16(p, r, splat(YK_EXP_C1));
  p = fma16(p, r, splat(YK_EXP_C0));
  p = fma16(p, r * r, r) + splat(1.0f);
  // The low bits of t hold n as an integer.
  p = as_vf(as_vi(p) +
                          ((as_vi(t) - (vi)(0x4B400000)) << 23));
  p = select16(x < splat(YK_EXP_LOW), splat(0.0f), p);
  p = select16(x > splat(YK_EXP_HIGH), splat(__builtin_inff()), p);
  return select16(x != x, x, p);
}

static void exponential(const float *x, size_t n, float *y) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) storef(y + i, exp16(loadf(x + i)));
  if (i < n) yk_scalar_kernels.exponential(x + i, n - i, y + i);
}

#include "vector_code4.h"
#include "vector_tiles.h"
#include "vector_products.h"
#include "vector_few.h"
#include "vector_sampling.h"

INLINE float square_sum(const float *x, float mean, size_t n) {
  vf sum = splat(0);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    vf d = loadf(x + i) - splat(mean);
    sum = fma16(d, d, sum);
  }
  if (i < n) {
    float lane[16];
    storef(lane, sum);
    for (size_t j = 0; i + j < n; j++) {
      float d = x[i + j] - mean;
      lane[j] = __builtin_fmaf(d, d, lane[j]);
    }
    sum = loadf(lane);
  }
  return tree16(sum);
}

static void rms_norm(const float *x, const float *weight, float epsilon, size_t n, float *y) {
  float r = 1.0f / __builtin_sqrtf(square_sum(x, 0.0f, n) / (float)n + epsilon);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) storef(y + i, loadf(x + i) * splat(r) * loadf(weight + i));
  for (; i < n; i++) y[i] = x[i] * r * weight[i];
}

static void layer_norm(const float *x, const float *weight, const float *bias, float epsilon,
                       size_t n, float *y) {
  vf sum = splat(0);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) sum = sum + loadf(x + i);
  if (i < n) sum = sum + load_part(x + i, n - i);
  float mean = tree16(sum) / (float)n;
  float r = 1.0f / __builtin_sqrtf(square_sum(x, mean, n) / (float)n + epsilon);
  for (i = 0; i < n; i++)
    y[i] = __builtin_fmaf((x[i] - mean) * r, weight[i], bias ? bias[i] : 0.0f);
}

static void add(const float *a, const float *b, size_t n, float *y) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) storef(y + i, loadf(a + i) + loadf(b + i));
  for (; i < n; i++) y[i] = a[i] + b[i];
}

static void swiglu(const float *gate, const float *up, size_t n, float *y) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    vf g = loadf(gate + i);
    storef(y + i, g / (splat(1.0f) + exp16(-g)) * loadf(up + i));
  }
  if (i < n) yk_scalar_kernels.swiglu(gate + i, up + i, n - i, y + i);
}

static void rope_half(float *x, const float *cosine, const float *sine, size_t n) {
  size_t h = n / 2, i = 0;
  for (; i + 16 <= h; i += 16) {
    vf a = loadf(x + i), b = loadf(x + h + i), c = loadf(cosine + i), s = loadf(sine + i);
    vf bs = b * s, as = a * s;
    storef(x + i, fma16(a, c, -bs));
    storef(x + h + i, fma16(b, c, as));
  }
  for (; i < h; i++) {
    float a = x[i], b = x[h + i], bs = b * sine[i], as = a * sine[i];
    x[i] = __builtin_fmaf(a, cosine[i], -bs);
    x[h + i] = __builtin_fmaf(b, cosine[i], as);
  }
}

static void rope_interleaved(float *x, const float *cosine, const float *sine, size_t n) {
  for (size_t i = 0; i < n / 2; i++) {
    float a = x[2 * i], b = x[2 * i + 1], bs = b * sine[i], as = a * sine[i];
    x[2 * i] = __builtin_fmaf(a, cosine[i], -bs);
    x[2 * i + 1] = __builtin_fmaf(b, cosine[i], as);
  }
}

static float maximum(const float *x, size_t n) {
  vf m = splat(-__builtin_inff());
  size_t i = 0;
  for (; i + 16 <= n; i += 16) m = maximum16(loadf(x + i), m);
  float best = largest16(m);
  for (; i < n; i++) best = x[i] > best ? x[i] : best;
  return best;
}

static size_t argmax(const float *x, size_t n) {
  float m = maximum(x, n);
  for (size_t i = 0; i < n; i++)
    if (x[i] == m) return i;
  return 0;
}

static float sum_exp(const float *x, float shift, size_t n) {
  vf sum = splat(0);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) sum = sum + exp16(loadf(x + i) - splat(shift));
  if (i < n) {
    float rest[16], lane[16];
    for (size_t j = 0; i + j < n; j++) rest[j] = x[i + j] - shift;
    yk_scalar_kernels.exponential(rest, n - i, rest);
    storef(lane, sum);
    for (size_t j = 0; i + j < n; j++) lane[j] = lane[j] + rest[j];
    sum = loadf(lane);
  }
  return tree16(sum);
}

static void softmax(const float *x, size_t n, float *y) {
  float m = maximum(x, n), sum = sum_exp(x, m, n);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) storef(y + i, exp16(loadf(x + i) - splat(m)) / splat(sum));
  if (i < n) {
    float rest[16];
    for (size_t j = 0; i + j < n; j++) rest[j] = x[i + j] - m;
    yk_scalar_kernels.exponential(rest, n - i, rest);
    for (size_t j = 0; i + j < n; j++) y[i + j] = rest[j] / sum;
  }
}

#include "vector_gradients.h"
#include "vector_attention.h"
#include "vector_attention_gradient.h"

static void store_kv(yk_kv_type type, const float *key, const float *value, size_t head_dimension,
                     size_t slot, uint8_t *keys, uint8_t *values, float *key_scales,
                     float *value_scales) {
  size_t D = head_dimension;
  if (type != YK_KV_F16 || D % 16 != 0) {
    yk_store_kv(type, key, value, D, slot, keys, values, key_scales, value_scales);
    return;
  }
  for (size_t d = 0; d < D; d += 16) {
    vh k = __builtin_convertvector(loadf(key + d), vh);
    vh v = __builtin_convertvector(loadf(value + d), vh);
    memcpy(values + 2 * (slot * D + d), &v, sizeof v);
    uint16_t half[16];
    memcpy(half, &k, sizeof k);
    for (size_t i = 0; i < 16; i++) memcpy(keys + 2 * ((d + i) * 32 + slot), half + i, 2);
  }
}

static double burn_fma(size_t iterations, float *sink) {
  vf a[10];
  UNROLL for (int j = 0; j < 10; j++) a[j] = splat((float)j);
  vf m = splat(0.999f), c = splat(0.001f);
  for (size_t i = 0; i < iterations; i++)
    UNROLL for (int j = 0; j < 10; j++) a[j] = fma16(a[j], m, c);
  UNROLL for (int j = 0; j < 10; j++) *sink += tree16(a[j]);
  return 320.0 * (double)iterations;
}

static float read_sum(const float *x, size_t n) {
  vf a = splat(0), b = a, c = a, d = a;
  for (size_t i = 0; i + 64 <= n; i += 64) {
    a = a + loadf(x + i);
    b = b + loadf(x + i + 16);
    c = c + loadf(x + i + 32);
    d = d + loadf(x + i + 48);
  }
  return tree16((a + b) + (c + d));
}

const yk_kernels YK_NAME = {
    YK_ISA, YK_LABEL, YK_TILE_FLOAT, YK_TILE_PANELS, YK_TILE_INT16, YK_COLUMNS_INT16,
    YK_FEW_FLOAT, YK_FEW_INT16,
    tile_float_pack, tile_int16_pack, expand_float, expand_int16, product_float,
    product_across, matmul_int16,
    matvec_float, matvec_int16, few_float_pack, few_int16_pack, few_float, few_int16,
    rms_norm, layer_norm, add, swiglu, rope_half, rope_interleaved,
    exponential, maximum, argmax, sum_exp, softmax, sampling_exp, key_range,
    attention, store_kv, burn_fma, read_sum,
    strip_pack, panel_transpose, gelu, gelu_gradient, swiglu_gradient,
    softmax_gradient, rms_norm_gradient, layer_norm_gradient, norm_weight_gradient,
    bias_gradient, attention_tile_pack, attention_statistics, attention_gradient};
