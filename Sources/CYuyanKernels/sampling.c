// The specification of the sampler's row kernels, which are the sampler's own definitions: every
// product and sum is rounded by itself, so that Swift on baseline x86-64 gives the same bits.

#include "internal.h"

#pragma STDC FP_CONTRACT OFF

static float power_of_two(int32_t exponent) {
  uint32_t bits = (uint32_t)(exponent + 127) << 23;
  float power;
  memcpy(&power, &bits, 4);
  return power;
}

void yk_sampling_exp(const float *x, float maximum, float divisor, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) {
    float value = (x[i] - maximum) / divisor, magic = 12582912.0f;
    float bounded = value < -104.0f ? -104.0f : value;
    bounded = bounded > 89.0f ? 89.0f : bounded;
    float shifted = bounded * YK_LOG2E + magic, whole = shifted - magic;
    float r = (bounded - whole * YK_LN2_HI) - whole * YK_LN2_LO;
    float p = YK_EXP_C5;
    p = p * r + YK_EXP_C4;
    p = p * r + YK_EXP_C3;
    p = p * r + YK_EXP_C2;
    p = p * r + YK_EXP_C1;
    p = p * r + YK_EXP_C0;
    float power = 1.0f + (r + (r * r) * p);
    int32_t exponent, zero = 0x4B400000;
    memcpy(&exponent, &shifted, 4);
    exponent = (int32_t)((uint32_t)exponent - (uint32_t)zero);
    int32_t half = exponent >> 1;
    y[i] = power * power_of_two(half) * power_of_two(exponent - half);
  }
}

void yk_key_range(const float *x, size_t n, int32_t *lowest, int32_t *highest) {
  *lowest = INT32_MAX;
  *highest = INT32_MIN;
  for (size_t i = 0; i < n; i++) {
    // Adding zero makes one of the two zeros.
    float value = x[i] + 0.0f;
    int32_t key;
    memcpy(&key, &value, 4);
    key ^= key >> 31 & 0x7FFFFFFF;
    if (key < *lowest) *lowest = key;
    if (key > *highest) *highest = key;
  }
}
