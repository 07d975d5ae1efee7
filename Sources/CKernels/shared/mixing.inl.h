// Vector updates and the Fourier transform, for operators that mix positions without scores.
//
// fft_lanes runs ZOO_FFT_LANES transforms side by side, one in each lane, by Stockham's algorithm: with n the length that
// is left and s the transforms that are done, in steps of four and a last one of two,
//     a, b, c, d = x[s (p + 0, 1, 2, 3 times n/4) + q],   w = exp(-2 pi i p s / N)
//     y[s (4p + 0) + q] = (a + c) + (b + d)        y[s (4p + 1) + q] = w   ((a - c) - i (b - d))
//     y[s (4p + 2) + q] = w^2 ((a + c) - (b + d))  y[s (4p + 3) + q] = w^3 ((a - c) + i (b - d))
// so every pass reads and writes in order and nothing is permuted.

static void multiply_add(float *target, const float *left, const float *right, int64_t count) {
    int64_t i = 0;
    for (; i + VL <= count; i += VL) v_store(target + i, V_FMA(v_load(left + i), v_load(right + i), v_load(target + i)));
    for (; i < count; i++) target[i] = S_FMA(left[i], right[i], target[i]);
}

static void scaled_add(float *target, const float *source, float factor, int64_t count) {
    const vf f = v_set(factor);
    int64_t i = 0;
    for (; i + VL <= count; i += VL) v_store(target + i, V_FMA(v_load(source + i), f, v_load(target + i)));
    for (; i < count; i++) target[i] = S_FMA(source[i], factor, target[i]);
}

static float dot(const float *left, const float *right, int64_t count) {
    vf sum = v_set(0);
    int64_t i = 0;
    for (; i + VL <= count; i += VL) sum = V_FMA(v_load(left + i), v_load(right + i), sum);
    float rest = 0;
    for (; i < count; i++) rest = S_FMA(left[i], right[i], rest);
    return v_reduce_add(sum) + rest;
}

INLINE void turn(float *re, float *im, vf x, vf y, vf wr, vf wi) {
    v_store(re, V_FMA(x, wr, -(y * wi)));
    v_store(im, V_FMA(x, wi, y * wr));
}

static void fft_fours(const float *xr, const float *xi, float *yr, float *yi, const float *cosine, const float *sine,
                      int64_t n, int64_t s) {
    const int64_t run = s * ZOO_FFT_LANES, quarter = n / 4 * run;
    for (int64_t p = 0; p < n / 4; p++) {
        const vf w1r = v_set(cosine[p * s]), w1i = v_set(sine[p * s]);
        const vf w2r = v_set(cosine[2 * p * s]), w2i = v_set(sine[2 * p * s]);
        const vf w3r = v_set(cosine[3 * p * s]), w3i = v_set(sine[3 * p * s]);
        for (int64_t q = 0; q < run; q += VL) {
            const int64_t from = p * run + q, to = 4 * p * run + q;
            const vf ar = v_load(xr + from), ai = v_load(xi + from);
            const vf br = v_load(xr + from + quarter), bi = v_load(xi + from + quarter);
            const vf cr = v_load(xr + from + 2 * quarter), ci = v_load(xi + from + 2 * quarter);
            const vf dr = v_load(xr + from + 3 * quarter), di = v_load(xi + from + 3 * quarter);
            const vf sr = ar + cr, si = ai + ci, mr = ar - cr, mi = ai - ci;
            const vf tr = br + dr, ti = bi + di, nr = br - dr, ni = bi - di;
            v_store(yr + to, sr + tr);
            v_store(yi + to, si + ti);
            turn(yr + to + run, yi + to + run, mr + ni, mi - nr, w1r, w1i);
            turn(yr + to + 2 * run, yi + to + 2 * run, sr - tr, si - ti, w2r, w2i);
            turn(yr + to + 3 * run, yi + to + 3 * run, mr - ni, mi + nr, w3r, w3i);
        }
    }
}

static void fft_twos(const float *xr, const float *xi, float *yr, float *yi, int64_t s) {
    const int64_t run = s * ZOO_FFT_LANES;
    for (int64_t q = 0; q < run; q += VL) {
        const vf ar = v_load(xr + q), ai = v_load(xi + q), br = v_load(xr + q + run), bi = v_load(xi + q + run);
        v_store(yr + q, ar + br);
        v_store(yi + q, ai + bi);
        v_store(yr + q + run, ar - br);
        v_store(yi + q + run, ai - bi);
    }
}

static int32_t fft_lanes(float *re, float *im, float *other_re, float *other_im, const float *cosine, const float *sine,
                         int64_t n) {
    int32_t swapped = 0;
    int64_t s = 1;
    while (n > 1) {
        float *xr = swapped ? other_re : re, *xi = swapped ? other_im : im;
        float *yr = swapped ? re : other_re, *yi = swapped ? im : other_im;
        if (n % 4 == 0) {
            fft_fours(xr, xi, yr, yi, cosine, sine, n, s);
            n /= 4;
            s *= 4;
        } else {
            fft_twos(xr, xi, yr, yi, s);
            n /= 2;
            s *= 2;
        }
        swapped = !swapped;
    }
    return swapped;
}
