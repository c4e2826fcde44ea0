/* SPDX-License-Identifier: MIT */
#include "model/rope.h"

void dsm_rope_fill(dsm_real *table, int64_t positions, int64_t Dh, double theta)
{
    int64_t half = Dh / 2;
    for (int64_t j = 0; j < half; j++) {
        double frequency = pow(theta, -2.0 * (double)j / (double)Dh);
        for (int64_t p = 0; p < positions; p++) {
            dsm_real *out = table + 2 * (p * half + j);
            out[0] = (dsm_real)cos((double)p * frequency);
            out[1] = (dsm_real)sin((double)p * frequency);
        }
    }
}
