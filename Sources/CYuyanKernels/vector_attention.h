// Attention; vector_kernels.h includes this.

// Scores of `count` queries against one tile of 32 transposed keys [D][32].
INLINE void tile_scores(const float *const *query, size_t count, const float *keys, size_t D,
                        float *const *scores) {
  vf s[YK_QUERIES][2];
  UNROLL for (size_t i = 0; i < count; i++) s[i][0] = s[i][1] = splat(0);
  for (size_t d = 0; d < D; d++) {
    vf a = loadf(keys + d * 32), b = loadf(keys + d * 32 + 16);
    UNROLL for (size_t i = 0; i < count; i++) {
      vf x = splat(query[i][d]);
      s[i][0] = fma16(x, a, s[i][0]);
      s[i][1] = fma16(x, b, s[i][1]);
    }
  }
  UNROLL for (size_t i = 0; i < count; i++) {
    storef(scores[i], s[i][0]);
    storef(scores[i] + 16, s[i][1]);
  }
}

// out = out * correction + sum over keys first..<end of p[key] * values[key], in key order.
INLINE void tile_values(float *const *out, size_t count, const float *const *p,
                        const float *correction, const float *values, size_t D, size_t first,
                        size_t end) {
  size_t d = 0;
  for (; d + 32 <= D; d += 32) {
    vf o[YK_QUERIES][2];
    UNROLL for (size_t i = 0; i < count; i++) {
      o[i][0] = loadf(out[i] + d) * splat(correction[i]);
      o[i][1] = loadf(out[i] + d + 16) * splat(correction[i]);
    }
    for (size_t j = first; j < end; j++) {
      vf a = loadf(values + j * D + d), b = loadf(values + j * D + d + 16);
      UNROLL for (size_t i = 0; i < count; i++) {
        vf x = splat(p[i][j]);
        o[i][0] = fma16(x, a, o[i][0]);
        o[i][1] = fma16(x, b, o[i][1]);
      }
    }
    UNROLL for (size_t i = 0; i < count; i++) {
      storef(out[i] + d, o[i][0]);
      storef(out[i] + d + 16, o[i][1]);
    }
  }
  for (; d < D; d++) {
    UNROLL for (size_t i = 0; i < count; i++) {
      float o = out[i][d] * correction[i];
      for (size_t j = first; j < end; j++) o = __builtin_fmaf(p[i][j], values[j * D + d], o);
      out[i][d] = o;
    }
  }
}

INLINE void widen_tile(const yk_attention_job *job, const uint8_t *base, float *keys,
                       float *values) {
  size_t D = job->head_dimension;
  const uint8_t *k = base + job->key_offset, *v = base + job->value_offset;
  if (job->type == YK_KV_F16) {
    for (size_t i = 0; i < D * 32; i += 16) storef(keys + i, load_half(k + 2 * i));
    for (size_t i = 0; i < D * 32; i += 16) storef(values + i, load_half(v + 2 * i));
    return;
  }
  const float *ks = (const float *)(const void *)(base + job->key_scale_offset);
  const float *vs_ = (const float *)(const void *)(base + job->value_scale_offset);
  vf s0 = loadf(ks), s1 = loadf(ks + 16);
  for (size_t d = 0; d < D; d++) {
    storef(keys + d * 32, s0 * load_signed_bytes(k + d * 32));
    storef(keys + d * 32 + 16, s1 * load_signed_bytes(k + d * 32 + 16));
  }
  for (size_t j = 0; j < 32; j++)
    for (size_t d = 0; d < D; d++) values[j * D + d] = vs_[j] * (float)(int8_t)v[j * D + d];
}

typedef struct { const float *keys, *values; } float_tile;

// A tile's keys and values as they lie in its block, or widened at the start of the scratch memory.
INLINE float_tile open_tile(const yk_attention_job *job, size_t tile) {
  const uint8_t *base = job->blocks[tile];
  if (job->type == YK_KV_F32)
    return (float_tile){(const float *)(const void *)(base + job->key_offset),
                        (const float *)(const void *)(base + job->value_offset)};
  float *keys = job->scratch, *values = keys + 32 * job->head_dimension;
  widen_tile(job, base, keys, values);
  return (float_tile){keys, values};
}

// Few queries, or heads of a width that fills no vectors: four at a time, row by row.
static void attention_few(const yk_attention_job *job) {
  size_t D = job->head_dimension, queries = job->query_count * job->group;
  float *p = job->scratch + 2 * 32 * D, *best = p + queries * 32, *sum = best + queries;
  size_t last_position = job->first_position + job->query_count - 1;
  size_t window = job->window ? job->window : SIZE_MAX;
  size_t first_seen = job->first_position + 1 > window ? job->first_position + 1 - window : 0;
  for (size_t q = 0; q < queries; q++) {
    float *out = job->out + q / job->group * job->out_stride + q % job->group * D;
    memset(out, 0, D * sizeof(float));
    best[q] = -__builtin_inff();
    sum[q] = 0;
  }
  const vi lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  for (size_t tile = first_seen / 32; tile <= last_position / 32; tile++) {
    size_t start = tile * 32;
    float_tile opened = open_tile(job, tile);
    const float *keys = opened.keys, *values = opened.values;
    // Queries that see this tile: positions start ... start + 31 + window - 1.
    size_t q = start > job->first_position ? (start - job->first_position) * job->group : 0;
    size_t end = queries;
    if (window < SIZE_MAX - start - 32) {
      size_t past = start + 31 + window;  // the first position whose window lies after the tile
      if (past < last_position + 1)
        end = past > job->first_position ? (past - job->first_position) * job->group : 0;
    }
    while (q < end) {
      const float *query[YK_QUERIES], *weight[YK_QUERIES];
      float *out[YK_QUERIES], *row[YK_QUERIES], factor[YK_QUERIES];
      size_t from[YK_QUERIES], to[YK_QUERIES], n = 0;
      int whole = 1;
      for (; n < YK_QUERIES && q + n < end; n++) {
        size_t t = (q + n) / job->group, h = (q + n) % job->group;
        size_t position = job->first_position + t;
        size_t seen = position + 1 > window ? position + 1 - window : 0;
        from[n] = seen > start ? seen - start : 0;
        to[n] = position - start < 31 ? position - start + 1 : 32;
        whole &= from[n] == 0 && to[n] == 32;
        query[n] = job->queries + t * job->query_stride + h * D;
        out[n] = job->out + t * job->out_stride + h * D;
        row[n] = p + (q + n) * 32;
        weight[n] = row[n];
      }
      if (n == YK_QUERIES) tile_scores(query, YK_QUERIES, keys, D, row);
#if YK_QUERIES > 3
      else if (n == 3) tile_scores(query, 3, keys, D, row);
#endif
      else
        for (size_t i = 0; i < n; i++) tile_scores(query + i, 1, keys, D, row + i);
      for (size_t i = 0; i < n; i++) {
        size_t h = (q + i) % job->group, position = job->first_position + (q + i) / job->group;
        vf a = loadf(row[i]) * splat(job->scale), b = loadf(row[i] + 16) * splat(job->scale);
        if (job->slopes) {
          vi distance = lanes + (vi)((int32_t)((int64_t)start - (int64_t)position));
          a = fma16(splat(job->slopes[h]), __builtin_convertvector(distance, vf), a);
          b = fma16(splat(job->slopes[h]), __builtin_convertvector(distance + 16, vf), b);
        }
        if (from[i] != 0 || to[i] != 32) {
          vi lo = (vi)((int32_t)from[i]), hi = (vi)((int32_t)to[i]);
          vf hidden = splat(-__builtin_inff());
          a = select16((lanes >= lo) & (lanes < hi), a, hidden);
          b = select16((lanes + 16 >= lo) & (lanes + 16 < hi), b, hidden);
        }
        float m = best[q + i], t = largest16(maximum16(a, b)), next = t > m ? t : m;
        vf shift = splat(next);
        a = exp16(a - shift);
        b = exp16(b - shift);
        storef(row[i], a);
        storef(row[i] + 16, b);
        vf c = exp16(splat(m - next));
        factor[i] = c[0];
        sum[q + i] = __builtin_fmaf(sum[q + i], factor[i], tree16(a + b));
        best[q + i] = next;
      }
      if (whole && n == YK_QUERIES)
        tile_values(out, YK_QUERIES, weight, factor, values, D, 0, 32);
#if YK_QUERIES > 3
      else if (whole && n == 3) tile_values(out, 3, weight, factor, values, D, 0, 32);
#endif
      else
        for (size_t i = 0; i < n; i++)
          tile_values(out + i, 1, weight + i, factor + i, values, D, from[i], to[i]);
      q += n;
    }
  }
  for (size_t q = 0; q < queries; q++) {
    float *out = job->out + q / job->group * job->out_stride + q % job->group * D;
    for (size_t d = 0; d < D; d++) out[d] = out[d] / sum[q];
  }
}

// 16 queries of a block, and how far their softmax has come.
typedef struct softmax_rows {
  vi position;
  vf slopes;            // of the position biases, if there are any
  vf largest, sum;      // over the tiles so far
  vf correction;        // what the last tile multiplies everything before it by
} softmax_rows;

// Takes one tile of 32 keys [32][stride], 16 queries side by side: scores become exponentials of
// their distance to the largest so far. Queries that see nothing of the tile stay as they were.
INLINE softmax_rows softmax_step(softmax_rows rows, int biased, float scale, int32_t window,
                                 int32_t start, float *scores, size_t stride) {
  const vf hidden = splat(-__builtin_inff());
  vi first = (vi)(start) - rows.position;
  vf best = hidden, s[32];
  for (int j = 0; j < 32; j++) {
    vi distance = first + j;
    s[j] = loadf(scores + (size_t)j * stride) * splat(scale);
    if (biased) s[j] = fma16(rows.slopes, __builtin_convertvector(distance, vf), s[j]);
    s[j] = select16((distance <= 0) & (distance > -window), s[j], hidden);
    best = maximum16(s[j], best);
  }
  vf next = maximum16(best, rows.largest);
  for (int j = 0; j < 32; j++) {
    s[j] = exp16(s[j] - next);
    storef(scores + (size_t)j * stride, s[j]);
  }
  for (int width = 16; width > 0; width /= 2)
    for (int j = 0; j < width; j++) s[j] = s[j] + s[j + width];
  vi sees = (first <= 0) & (first + 31 > -window);
  rows.correction = select16(sees, exp16(rows.largest - next), splat(1.0f));
  rows.sum = select16(sees, fma16(rows.sum, rows.correction, s[0]), rows.sum);
  rows.largest = select16(sees, next, rows.largest);
  return rows;
}

INLINE int32_t bounded_window(size_t window) {
  return window && window < INT32_MAX ? (int32_t)window : INT32_MAX;
}

// One block of YK_ATTENTION_ROWS queries, row by row of (position, head of the group).
typedef struct query_block {
  float *columns;     // queries turned, [D][rows]
  float *p;           // scores, then weights, [32][rows]
  float *out;         // [rows][D]
  float *correction;  // [rows]
  softmax_rows rows[YK_ATTENTION_ROWS / 16];
  size_t row, count;
} query_block;

INLINE void start_block(const yk_attention_job *job, query_block *b) {
  size_t D = job->head_dimension;
  for (size_t first = 0; first < b->count; first += 16) {
    int32_t position[16];
    float slope[16] = {0};
    for (size_t i = 0; i < 16; i++) {
      size_t q = b->row + first + i;
      position[i] = (int32_t)(job->first_position + q / job->group);
      if (job->slopes) slope[i] = job->slopes[q % job->group];
    }
    softmax_rows rows = {loadi(position), loadf(slope), splat(-__builtin_inff()), splat(0),
                         splat(0)};
    b->rows[first / 16] = rows;
    for (size_t d = 0; d < D; d += 16) {
      vf row[16];
      UNROLL for (size_t i = 0; i < 16; i++) {
        size_t q = b->row + first + i;
        row[i] = splat(0);
        if (first + i < b->count)
          row[i] = loadf(job->queries + q / job->group * job->query_stride + q % job->group * D +
                         d);
      }
      transpose16(row);
      UNROLL for (size_t i = 0; i < 16; i++)
        storef(b->columns + (d + i) * YK_ATTENTION_ROWS + first, row[i]);
    }
  }
  memset(b->out, 0, b->count * D * sizeof(float));
}

// out = out * correction + the weighted values, for queries that see keys first ..< end.
INLINE void part_of_tile(query_block *b, size_t row, const float *values, size_t D, size_t first,
                         size_t end) {
  float p[32], *out = b->out + row * D;
  const float *weights = p;
  for (size_t j = first; j < end; j++) p[j] = b->p[j * YK_ATTENTION_ROWS + row];
  tile_values(&out, 1, &weights, b->correction + row, values, D, first, end);
}

// The rows first ..< end of a block, which see keys of the tile.
INLINE void block_tile(const yk_attention_job *job, query_block *b, size_t start,
                       const float *keys, const float *values, size_t first, size_t end) {
  size_t D = job->head_dimension, from = first / 16 * 16;
  size_t window = job->window ? job->window : SIZE_MAX;
  multiply_rows(b->columns + from, YK_ATTENTION_ROWS, 16, (end - from + 15) / 16, D, keys, 32, 32,
                0, b->p + from, YK_ATTENTION_ROWS, 16);
  for (size_t i = from; i < end; i += 16) {
    softmax_rows *rows = b->rows + i / 16;
    *rows = softmax_step(*rows, job->slopes != NULL, job->scale, bounded_window(job->window),
                         (int32_t)start, b->p + i, YK_ATTENTION_ROWS);
    storef(b->correction + i, rows->correction);
  }
  // Positions that see the whole tile lie between those that see its head and its tail.
  for (size_t i = first; i < end;) {
    size_t position = job->first_position + (b->row + i) / job->group;
    size_t seen = position + 1 > window ? position + 1 - window : 0;
    if (seen > start || position < start + 31) {
      part_of_tile(b, i, values, D, seen > start ? seen - start : 0,
                   position - start < 31 ? position - start + 1 : 32);
      i++;
      continue;
    }
    size_t last = end;
    if (window < SIZE_MAX - start) {
      size_t past = start + window;  // the first position that does not see the tile's first key
      size_t rows = (past - job->first_position) * job->group;
      if (rows < b->row + last) last = rows - b->row;
    }
    for (size_t r = i; r < last; r++)
      for (size_t d = 0; d < D; d += 16)
        storef(b->out + r * D + d, loadf(b->out + r * D + d) * splat(b->correction[r]));
    multiply_rows(values, D, 16, D / 16, 32, b->p + i, YK_ATTENTION_ROWS, last - i, 1,
                  b->out + i * D, D, 16);
    i = last;
  }
}

INLINE void end_block(const yk_attention_job *job, query_block *b) {
  size_t D = job->head_dimension;
  for (size_t i = 0; i < b->count; i++) {
    size_t q = b->row + i;
    float *out = job->out + q / job->group * job->out_stride + q % job->group * D;
    vf sum = splat(b->rows[i / 16].sum[i % 16]);
    for (size_t d = 0; d < D; d += 16) storef(out + d, loadf(b->out + i * D + d) / sum);
  }
}

// Many queries: both products by the kernels of matrices, 16 queries side by side between them.
static void attention_blocks(const yk_attention_job *job) {
  size_t D = job->head_dimension, queries = job->query_count * job->group;
  size_t window = job->window ? job->window : SIZE_MAX;
  query_block b;
  b.columns = job->scratch + 2 * 32 * D;
  b.p = b.columns + D * YK_ATTENTION_ROWS;
  b.out = b.p + 32 * YK_ATTENTION_ROWS;
  b.correction = b.out + D * YK_ATTENTION_ROWS;
  for (b.row = 0; b.row < queries; b.row += YK_ATTENTION_ROWS) {
    b.count = queries - b.row < YK_ATTENTION_ROWS ? queries - b.row : YK_ATTENTION_ROWS;
    size_t earliest = job->first_position + b.row / job->group;
    size_t latest = job->first_position + (b.row + b.count - 1) / job->group;
    size_t seen = earliest + 1 > window ? earliest + 1 - window : 0;
    start_block(job, &b);
    for (size_t start = seen / 32 * 32; start <= latest; start += 32) {
      float_tile opened = open_tile(job, start / 32);
      const float *keys = opened.keys, *values = opened.values;
      size_t first = 0, end = b.count;
      if (start > earliest) {
        size_t row = (start - job->first_position) * job->group;
        first = row > b.row ? row - b.row : 0;
      }
      if (window < SIZE_MAX - start - 32 && start + 31 + window <= latest) {
        size_t row = (start + 31 + window - job->first_position) * job->group;
        end = row > b.row ? row - b.row : 0;
      }
      if (first < end) block_tile(job, &b, start, keys, values, first, end);
    }
    end_block(job, &b);
  }
}

static void attention(const yk_attention_job *job) {
  if (job->head_dimension % 16 == 0 && job->query_count * job->group >= 16) attention_blocks(job);
  else attention_few(job);
}
