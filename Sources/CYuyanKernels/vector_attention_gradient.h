// Gradients of attention; vector_kernels.h includes this.
//
// Queries are taken in blocks of rows (token by token, in each the heads of the group), keys in blocks
// of tiles; inside, all five products are those of multiply_rows. Rows of the queries are needed both
// ways round, so a block is copied and transposed once for all tiles it meets.

// One worker's memory; [rows] is YK_ATTENTION_ROWS, [P] the head's width rounded up to 16.
typedef struct gradient_block {
  float *query_columns, *dy_columns;  // [D][rows]
  float *query, *dy, *query_gradient; // [rows][P]
  float *p, *ds;                      // [rows][32]
  float *ds_columns;                  // [32][rows]
  float *largest, *reciprocal, *delta, *slopes; // [rows]
  int32_t *position;                  // [rows]
  float *key_gradient, *value_gradient; // [keys][P]
  size_t padded;
  size_t row, count;                  // first row of the block, and how many
} gradient_block;

INLINE gradient_block block_in(const yk_attention_gradient_job *job) {
  size_t D = job->head_dimension, P = (D + 15) / 16 * 16, rows = YK_ATTENTION_ROWS;
  gradient_block b;
  float *at = job->scratch;
#define TAKE(part, size) b.part = at, at += (size)
  TAKE(query_columns, D * rows);
  TAKE(dy_columns, D * rows);
  TAKE(query, rows * P);
  TAKE(dy, rows * P);
  TAKE(query_gradient, rows * P);
  TAKE(p, rows * 32);
  TAKE(ds, rows * 32);
  TAKE(ds_columns, 32 * rows);
  TAKE(largest, rows);
  TAKE(reciprocal, rows);
  TAKE(delta, rows);
  TAKE(slopes, rows);
  b.position = (int32_t *)(void *)at, at += rows;
  TAKE(key_gradient, yk_gradient_keys(P) * P);
  b.value_gradient = at;
#undef TAKE
  b.padded = P;
  b.row = b.count = 0;
  return b;
}

// Up to 16 numbers, zeros behind them.
INLINE vf load_some(const float *p, size_t n) { return n >= 16 ? loadf(p) : load_part(p, n); }
INLINE void store_some(float *p, vf v, size_t n) {
  float lane[16];
  if (n >= 16) { storef(p, v); return; }
  storef(lane, v);
  memcpy(p, lane, n * sizeof(float));
}

// Copies rows of 16 * blocks numbers and turns them; rows that do not exist are zeros.
INLINE void pack_rows(const yk_attention_gradient_job *job, const gradient_block *b,
                      const float *source, float *rows, float *columns) {
  size_t D = job->head_dimension;
  for (size_t first = 0; first < b->count; first += 16) {
    for (size_t d = 0; d < D; d += 16) {
      vf row[16];
      UNROLL for (size_t i = 0; i < 16; i++) {
        size_t q = b->row + first + i;
        row[i] = splat(0);
        if (first + i < b->count)
          row[i] = load_some(source + q / job->group * job->query_stride + q % job->group * D + d,
                             D - d);
        if (rows) storef(rows + (first + i) * b->padded + d, row[i]);
      }
      transpose16(row);
      UNROLL for (size_t i = 0; i < 16; i++)
        if (d + i < D) storef(columns + (d + i) * YK_ATTENTION_ROWS + first, row[i]);
    }
  }
}

static void attention_tile_pack(const float *keys, const float *values, size_t key_stride,
                                size_t count, size_t head_dimension, float *tile) {
  size_t D = head_dimension, P = (D + 15) / 16 * 16;
  float *k = tile, *v = k + D * 32, *rows = v + D * 32;
  for (size_t first = 0; first < 32; first += 16) {
    for (size_t d = 0; d < D; d += 16) {
      vf key[16], value[16];
      UNROLL for (size_t i = 0; i < 16; i++) {
        size_t at = (first + i) * key_stride + d;
        key[i] = first + i < count ? load_some(keys + at, D - d) : splat(0);
        value[i] = first + i < count ? load_some(values + at, D - d) : splat(0);
        storef(rows + (first + i) * P + d, key[i]);
      }
      transpose16(key);
      transpose16(value);
      UNROLL for (size_t i = 0; i < 16; i++) {
        if (d + i >= D) continue;
        storef(k + (d + i) * 32 + first, key[i]);
        storef(v + (d + i) * 32 + first, value[i]);
      }
    }
  }
}

// Rows of the block, from its first, whose queries see a key of the tile.
INLINE void rows_seeing(const yk_attention_gradient_job *job, const gradient_block *b,
                        size_t start, size_t *first, size_t *end) {
  size_t from = yk_tile_first_query(job, start) * job->group;
  size_t to = yk_tile_end_query(job, start) * job->group, last = b->row + b->count;
  *first = from > b->row ? from - b->row : 0;
  *end = to < last ? (to > b->row ? to - b->row : 0) : b->count;
}

// Whether all of these rows see all keys of the tile.
INLINE int sees_whole(const yk_attention_gradient_job *job, size_t start, int32_t earliest,
                      int32_t latest) {
  return start + 31 <= (size_t)earliest && !(job->window && start + job->window <= (size_t)latest);
}

static void attention_statistics(const yk_attention_gradient_job *job) {
  size_t D = job->head_dimension, tile_floats = yk_attention_gradient_tile(D);
  gradient_block b = block_in(job);
  size_t end = job->end_query * job->group;
  for (b.row = job->first_query * job->group; b.row < end; b.row += YK_ATTENTION_ROWS) {
    b.count = end - b.row < YK_ATTENTION_ROWS ? end - b.row : YK_ATTENTION_ROWS;
    size_t vectors = (b.count + 15) / 16;
    for (size_t i = 0; i < vectors * 16; i++) {
      b.position[i] = (int32_t)((b.row + i) / job->group);
      b.slopes[i] = job->slopes ? job->slopes[(b.row + i) % job->group] : 0;
      b.largest[i] = -__builtin_inff();
      b.reciprocal[i] = 0;
    }
    pack_rows(job, &b, job->queries, NULL, b.query_columns);
    size_t last = (size_t)b.position[b.count - 1], earliest = (size_t)b.position[0];
    size_t seen = job->window && earliest + 1 > job->window ? earliest + 1 - job->window : 0;
    for (size_t start = seen / 32 * 32; start <= last; start += 32) {
      // Scores of the 32 keys [32][rows], over the queries' columns.
      multiply_rows(b.query_columns, YK_ATTENTION_ROWS, 16, vectors, D,
                    job->tiles + start / 32 * tile_floats, 32, 32, 0, b.ds_columns, YK_ATTENTION_ROWS,
                    16);
      for (size_t i = 0; i < vectors * 16; i += 16) {
        softmax_rows rows = {loadi(b.position + i), loadf(b.slopes + i), loadf(b.largest + i),
                             loadf(b.reciprocal + i), splat(0)};
        rows = softmax_step(rows, job->slopes != NULL, job->scale, bounded_window(job->window),
                            (int32_t)start, b.ds_columns + i, YK_ATTENTION_ROWS);
        storef(b.largest + i, rows.largest);
        storef(b.reciprocal + i, rows.sum);
      }
    }
    for (size_t i = 0; i < b.count; i++) {
      size_t t = (b.row + i) / job->group, h = (b.row + i) % job->group;
      const float *out = job->out + t * job->query_stride + h * D;
      const float *dy = job->out_gradient + t * job->query_stride + h * D;
      vf chains = splat(0);
      size_t d = 0;
      for (; d + 16 <= D; d += 16) chains = fma16(loadf(dy + d), loadf(out + d), chains);
      float lane[16];
      storef(lane, chains);
      for (size_t j = 0; d + j < D; j++) lane[j] = __builtin_fmaf(dy[d + j], out[d + j], lane[j]);
      float *statistics = job->statistics + t * job->statistics_stride + 3 * h;
      statistics[0] = b.largest[i];
      statistics[1] = 1.0f / b.reciprocal[i];
      statistics[2] = tree16(loadf(lane));
    }
  }
}

// From the products of queries and keys, and of dy and values: probabilities and their gradient.
INLINE void probability_gradient(const yk_attention_gradient_job *job, const gradient_block *b,
                                 size_t start, size_t first, size_t end) {
  const vi lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const vf scale = splat(job->scale), zero = splat(0);
  const int32_t window = bounded_window(job->window);
  for (size_t i = first; i < end; i++) {
    vf m = splat(b->largest[i]), r = splat(b->reciprocal[i]), delta = splat(b->delta[i]);
    int whole = sees_whole(job, start, b->position[i], b->position[i]);
    UNROLL for (int half = 0; half < 2; half++) {
      float *p = b->p + i * 32 + 16 * half, *ds = b->ds + i * 32 + 16 * half;
      vi distance = lanes + (vi)((int32_t)start + 16 * half - b->position[i]);
      vf s = loadf(p) * scale;
      if (job->slopes)
        s = fma16(splat(job->slopes[(b->row + i) % job->group]),
                  __builtin_convertvector(distance, vf), s);
      vf weight = exp16(s - m) * r, gradient = (weight * (loadf(ds) - delta)) * scale;
      if (!whole) {
        vi visible = (distance <= 0) & (distance > -window);
        weight = select16(visible, weight, zero);
        gradient = select16(visible, gradient, zero);
      }
      storef(p, weight);
      storef(ds, gradient);
    }
  }
}

// What the block's queries and one tile give each other.
INLINE void gradient_tile(const yk_attention_gradient_job *job, const gradient_block *b,
                          size_t start, float *dk, float *dv) {
  size_t D = job->head_dimension, P = b->padded, first, end;
  rows_seeing(job, b, start, &first, &end);
  if (first >= end) return;
  size_t count = end - first;
  const float *k = job->tiles + start / 32 * yk_attention_gradient_tile(D);
  const float *v = k + D * 32, *rows = v + D * 32;
  float *p = b->p + first * 32, *ds = b->ds + first * 32;
  multiply_rows(k, 32, 16, 2, D, b->query_columns + first, YK_ATTENTION_ROWS, count, 0, p, 32, 16);
  multiply_rows(v, 32, 16, 2, D, b->dy_columns + first, YK_ATTENTION_ROWS, count, 0, ds, 32, 16);
  probability_gradient(job, b, start, first, end);
  if (job->key_gradient) {
    multiply_rows(b->dy + first * P, P, 16, P / 16, count, p, 32, 32, 1, dv, P, 16);
    multiply_rows(b->query + first * P, P, 16, P / 16, count, ds, 32, 32, 1, dk, P, 16);
  }
  if (!job->query_gradient) return;
  for (size_t i = first / 16 * 16; i < end; i += 16) {
    for (size_t j = 0; j < 32; j += 16) {
      vf row[16];
      UNROLL for (size_t n = 0; n < 16; n++) row[n] = loadf(b->ds + (i + n) * 32 + j);
      transpose16(row);
      UNROLL for (size_t n = 0; n < 16; n++)
        storef(b->ds_columns + (j + n) * YK_ATTENTION_ROWS + i, row[n]);
    }
  }
  size_t keys = job->end_key - start < 32 ? job->end_key - start : 32;
  multiply_rows(rows, P, 16, P / 16, keys, b->ds_columns + first, YK_ATTENTION_ROWS, count, 1,
                b->query_gradient + first * P, P, 16);
}

// Fetches the block's rows, or gives its gradients back.
INLINE void move_query_gradient(const yk_attention_gradient_job *job, const gradient_block *b,
                                int back) {
  size_t D = job->head_dimension;
  for (size_t i = 0; i < b->count; i++) {
    size_t q = b->row + i;
    float *place = job->query_gradient + q / job->group * job->query_stride + q % job->group * D;
    float *own = b->query_gradient + i * b->padded;
    for (size_t d = 0; d < D; d += 16) {
      if (back) store_some(place + d, loadf(own + d), D - d);
      else storef(own + d, load_some(place + d, D - d));
    }
  }
}

INLINE void gradient_rows(const yk_attention_gradient_job *job, const gradient_block *b,
                          size_t first_key, size_t end_key) {
  for (size_t i = 0; i < b->count; i++) {
    size_t t = (b->row + i) / job->group, h = (b->row + i) % job->group;
    const float *statistics = job->statistics + t * job->statistics_stride + 3 * h;
    b->position[i] = (int32_t)t;
    b->largest[i] = statistics[0];
    b->reciprocal[i] = statistics[1];
    b->delta[i] = statistics[2];
  }
  pack_rows(job, b, job->queries, b->query, b->query_columns);
  pack_rows(job, b, job->out_gradient, b->dy, b->dy_columns);
  if (job->query_gradient) move_query_gradient(job, b, 0);
  for (size_t start = first_key; start < end_key; start += 32) {
    size_t at = (start - first_key) * b->padded;
    gradient_tile(job, b, start, b->key_gradient + at, b->value_gradient + at);
  }
  if (job->query_gradient) move_query_gradient(job, b, 1);
}

static void attention_gradient(const yk_attention_gradient_job *job) {
  size_t D = job->head_dimension;
  gradient_block b = block_in(job);
  size_t P = b.padded, each = yk_gradient_keys(P);
  if (job->query_gradient)
    for (size_t t = job->first_query; t < job->end_query; t++)
      memset(job->query_gradient + t * job->query_stride, 0, job->group * D * sizeof(float));
  for (size_t first = job->first_key; first < job->end_key; first += each) {
    size_t end = job->end_key - first < each ? job->end_key : first + each;
    if (job->key_gradient) {
      memset(b.key_gradient, 0, each * P * sizeof(float));
      memset(b.value_gradient, 0, each * P * sizeof(float));
    }
    size_t last = yk_tile_end_query(job, (end - 1) / 32 * 32) * job->group;
    for (b.row = yk_tile_first_query(job, first) * job->group; b.row < last;
         b.row += YK_ATTENTION_ROWS) {
      b.count = last - b.row < YK_ATTENTION_ROWS ? last - b.row : YK_ATTENTION_ROWS;
      gradient_rows(job, &b, first, end);
    }
    if (!job->key_gradient) continue;
    for (size_t j = first; j < end; j++) {
      for (size_t d = 0; d < D; d += 16) {
        size_t at = (j - first) * P + d, to = j * job->key_stride + d;
        store_some(job->key_gradient + to, loadf(b.key_gradient + at), D - d);
        store_some(job->value_gradient + to, loadf(b.value_gradient + at), D - d);
      }
    }
  }
}
