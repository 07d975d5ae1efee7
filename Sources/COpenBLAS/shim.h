#ifndef COPENBLAS_SHIM_H
#define COPENBLAS_SHIM_H
#include <cblas.h>

/* LAPACK that OpenBLAS itself contains, by its Fortran names: lapacke.h is not installed everywhere. Matrices are
   column-major; info is 0, -i for a bad argument i, or i for a pivot that is not positive (zero, in dtrtri). */
#ifdef __cplusplus
extern "C" {
#endif
int dpotrf_(char *uplo, blasint *n, double *a, blasint *lda, blasint *info);
int dtrtri_(char *uplo, char *diag, blasint *n, double *a, blasint *lda, blasint *info);
#ifdef __cplusplus
}
#endif
#endif
