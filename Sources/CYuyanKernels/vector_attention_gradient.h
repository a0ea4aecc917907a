// Gradients of attention; vector_kernels.h includes this.

static void attention_tile_pack(const float *keys, const float *values, size_t key_stride,
                                size_t count, size_t head_dimension, float *tile) {
  yk_attention_tile_pack(keys, values, key_stride, count, head_dimension, tile);
}
static void attention_statistics(const yk_attention_gradient_job *job) {
  yk_attention_statistics(job);
}
static void attention_gradient(const yk_attention_gradient_job *job) {
  yk_attention_gradient(job);
}
