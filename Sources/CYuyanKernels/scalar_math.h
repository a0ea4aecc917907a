#ifndef YUYAN_SCALAR_MATH_H
#define YUYAN_SCALAR_MATH_H

// What the scalar kernels share: one rounding per operation, sums in 16 chains and a fixed tree.

#include "internal.h"

#pragma STDC FP_CONTRACT OFF

static inline float fma32(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

// To nearest, ties to even, for |x| < 2^22.
static inline float rounded(float x) { return (x + 12582912.0f) - 12582912.0f; }

static inline uint16_t load16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

static inline float exponential1(float x) {
  float c = x < YK_EXP_HIGH ? x : YK_EXP_HIGH;
  c = c > YK_EXP_LOW ? c : YK_EXP_LOW;
  float t = fma32(c, YK_LOG2E, 12582912.0f);
  float n = t - 12582912.0f;
  float r = fma32(n, -YK_LN2_HI, c);
  r = fma32(n, -YK_LN2_LO, r);
  float p = fma32(YK_EXP_C5, r, YK_EXP_C4);
  p = fma32(p, r, YK_EXP_C3);
  p = fma32(p, r, YK_EXP_C2);
  p = fma32(p, r, YK_EXP_C1);
  p = fma32(p, r, YK_EXP_C0);
  p = fma32(p, r * r, r) + 1.0f;
  uint32_t bits;
  memcpy(&bits, &p, 4);
  bits += (uint32_t)(int32_t)n << 23;
  memcpy(&p, &bits, 4);
  if (x < YK_EXP_LOW) p = 0.0f;
  if (x > YK_EXP_HIGH) p = __builtin_inff();
  return x != x ? x : p;
}

static inline float tree16(const float *lane) {
  float t[16];
  memcpy(t, lane, sizeof t);
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; i++) t[i] = t[i] + t[i + width];
  return t[0];
}

// Sum over i of (x[i] - mean)^2, in 16 chains (i mod 16) and a fixed tree.
static inline float square_sum(const float *x, float mean, size_t n) {
  float lane[16] = {0};
  for (size_t i = 0; i < n; i++) {
    float d = x[i] - mean;
    lane[i % 16] = fma32(d, d, lane[i % 16]);
  }
  return tree16(lane);
}

#endif
