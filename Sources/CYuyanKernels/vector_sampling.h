// Rows of logits, for the sampler; vector_kernels.h includes this. Nothing here is fused: the
// definition is that of Swift on baseline x86-64 (docs/numerics.md, "Sampling").

INLINE vf power_of_two16(vi exponent) { return as_vf((exponent + 127) << 23); }

INLINE vf sampling_exp16(vf x) {
  vf magic = splat(12582912.0f);
  vf bounded = select16(x < splat(-104.0f), splat(-104.0f), x);
  bounded = select16(bounded > splat(89.0f), splat(89.0f), bounded);
  vf shifted = bounded * splat(YK_LOG2E) + magic;
  vf n = shifted - magic;
  vf r = (bounded - n * splat(YK_LN2_HI)) - n * splat(YK_LN2_LO);
  vf p = splat(YK_EXP_C5);
  p = p * r + splat(YK_EXP_C4);
  p = p * r + splat(YK_EXP_C3);
  p = p * r + splat(YK_EXP_C2);
  p = p * r + splat(YK_EXP_C1);
  p = p * r + splat(YK_EXP_C0);
  vf power = splat(1.0f) + (r + (r * r) * p);
  vi exponent = as_vi(shifted) - as_vi(magic), half = exponent >> 1;
  return power * power_of_two16(half) * power_of_two16(exponent - half);
}

static void sampling_exp(const float *x, float maximum, float divisor, size_t n, float *y) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16)
    storef(y + i, sampling_exp16((loadf(x + i) - splat(maximum)) / splat(divisor)));
  if (i < n) yk_sampling_exp(x + i, maximum, divisor, n - i, y + i);
}

static void key_range(const float *x, size_t n, int32_t *lowest, int32_t *highest) {
  vi low = (vi)(INT32_MAX), high = (vi)(INT32_MIN);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    vi bits = as_vi(loadf(x + i) + splat(0.0f));
    vi key = bits ^ (bits >> 31 & 0x7FFFFFFF);
    low = __builtin_elementwise_min(low, key);
    high = __builtin_elementwise_max(high, key);
  }
  yk_key_range(x + i, n - i, lowest, highest);
  int32_t least = __builtin_reduce_min(low), most = __builtin_reduce_max(high);
  if (least < *lowest) *lowest = least;
  if (most > *highest) *highest = most;
}
