// The register tile: R rows times one panel of NR columns, accumulated over `inner` steps in order.
//
//            panel  [inner][NR]
//   a  ┌───┐ ┌──────────┐
//   R  │   │ │ NV vectors│      c[i] += a[i][k] * panel[k]
//      └───┘ └──────────┘
//
// R is a constant at each call, so the accumulators live in registers.

#define TILE_ACCUMULATE(R, inner, a_at)                                                                            \
    for (int64_t k = 0; k < (inner); k++, panel += NR) {                                                           \
        vf b[NV];                                                                                                  \
        UNROLL                                                                                                     \
        for (int v = 0; v < NV; v++) b[v] = v_load(panel + v * VL);                                                \
        UNROLL                                                                                                     \
        for (int i = 0; i < (R); i++) {                                                                            \
            vf scalar = v_set(a_at);                                                                               \
            UNROLL                                                                                                 \
            for (int v = 0; v < NV; v++) c[i][v] = V_FMA(scalar, b[v], c[i][v]);                                   \
        }                                                                                                          \
    }

// a is a packed tile [inner][MR].
INLINE void tile_times_panel(const int R, vf c[MR][NV], const float *a, const float *panel, int64_t inner) {
    TILE_ACCUMULATE(R, inner, a[k * MR + i])
}

// a is rows [R][stride]. With a constant stride the rows are reached by displacements from one register.
INLINE void rows_times_panel(const int R, vf c[MR][NV], const float *a, int64_t stride, const float *panel,
                             int64_t inner) {
    TILE_ACCUMULATE(R, inner, a[i * stride + k])
}

INLINE void zero_tile(const int R, vf c[MR][NV]) {
    UNROLL
    for (int i = 0; i < R; i++)
        UNROLL
        for (int v = 0; v < NV; v++) c[i][v] = v_set(0);
}
INLINE void add_tile(const int R, vf c[MR][NV], const float *source, int64_t stride) {
    UNROLL
    for (int i = 0; i < R; i++)
        UNROLL
        for (int v = 0; v < NV; v++) c[i][v] += v_load(source + i * stride + v * VL);
}
INLINE void store_tile(const int R, vf c[MR][NV], float *target, int64_t stride) {
    UNROLL
    for (int i = 0; i < R; i++)
        UNROLL
        for (int v = 0; v < NV; v++) v_store(target + i * stride + v * VL, c[i][v]);
}

// target[R][stride] = a tile times one panel, in runs of DOT_RUN.
INLINE void dot_tile(const int R, const float *tile, const float *panel, int64_t inner, float *target, int64_t stride) {
    for (int64_t d = 0; d < inner; d += DOT_RUN) {
        int64_t run = inner - d < DOT_RUN ? inner - d : DOT_RUN;
        vf c[MR][NV];
        zero_tile(R, c);
        tile_times_panel(R, c, tile + d * MR, panel + d * NR, run);
        if (d > 0) add_tile(R, c, target, stride);
        store_tile(R, c, target, stride);
    }
}

// Calls BODY(R) with the constant R that equals `rows`.
#if MR > 6
#define FOR_ROWS(rows, BODY)                                                                                       \
    switch (rows) {                                                                                                \
    case 14: BODY(14); break;                                                                                      \
    case 13: BODY(13); break;                                                                                      \
    case 12: BODY(12); break;                                                                                      \
    case 11: BODY(11); break;                                                                                      \
    case 10: BODY(10); break;                                                                                      \
    case 9: BODY(9); break;                                                                                        \
    case 8: BODY(8); break;                                                                                        \
    case 7: BODY(7); break;                                                                                        \
    case 6: BODY(6); break;                                                                                        \
    case 5: BODY(5); break;                                                                                        \
    case 4: BODY(4); break;                                                                                        \
    case 3: BODY(3); break;                                                                                        \
    case 2: BODY(2); break;                                                                                        \
    case 1: BODY(1); break;                                                                                        \
    }
#else
#define FOR_ROWS(rows, BODY)                                                                                       \
    switch (rows) {                                                                                                \
    case 6: BODY(6); break;                                                                                        \
    case 5: BODY(5); break;                                                                                        \
    case 4: BODY(4); break;                                                                                        \
    case 3: BODY(3); break;                                                                                        \
    case 2: BODY(2); break;                                                                                        \
    case 1: BODY(1); break;                                                                                        \
    }
#endif
