/* Constants and tables of vmath.inc.h, ascending powers. Written by coefficients.py: edit that. */
/* clang-format off */
#if FG_REAL_BITS == 32
#define LOG2_E 1.442695f
#define SQRT_HALF 0.70710677f
#define SQRT_2 1.4142135f
#define SQRT_2PI 2.5066283f
#define INV_SQRT_2PI 0.3989423f
#define LN2_HIGH 0.69314575f
#define LN2_LOW 1.4286068e-06f
#define GELU_LINEAR_HIGH 1.595769f
#define GELU_LINEAR_LOW 7.386861e-08f
#define GELU_CUBIC_HIGH 0.071354814f
#define GELU_CUBIC_LOW 2.3988325e-09f

/* (e^r - 1 - r) / r^2, |r| <= ln(2)/2: degree 5; e^r - 1 within 2^-30.8. */
static const real EXPM1_REDUCED[] = {
    0.5f,
    0.16666667f,
    0.041666467f,
    0.0083333105f,
    0.001393365f,
    0.00019890991f,
};

/* (2 atanh(s) - 2 s) / s^3 in s^2, |s| <= 1/3: degree 4; 2 atanh(s) within 2^-31.3. */
static const real LOG1P_REDUCED[] = {
    0.6666667f,
    0.39999706f,
    0.28592357f,
    0.21706575f,
    0.2322433f,
};

/* erf(x) / x - 1 in x^2, |x| <= ERF_SMALL: degree 5; erf(x) within 2^-29.3. */
#define ERF_SMALL ((real)0.75)
static const real ERF_REDUCED[] = {
    0.12837917f,
    -0.3761262f,
    0.112833865f,
    -0.026835114f,
    0.005115332f,
    -0.000675648f,
};

/* (2 + m A') / B = 1 / tail(m) - sqrt(2 pi) m, tail(m) = e^(m^2/2) Phi(-m), 0 <= m <= NORMAL_TAIL_BOUND:
 * degree 4 over 5, all terms positive; tail(m) within 2^-29.6. */
#define NORMAL_TAIL_BOUND ((real)13.45)
static const real NORMAL_TAIL_A[] = {
    1.2736404f,
    0.4232699f,
    0.07661945f,
    0.006470044f,
};
static const real NORMAL_TAIL_B[] = {
    1.0f,
    1.0922499f,
    0.57245725f,
    0.17377871f,
    0.030577555f,
    0.0025809645f,
};
#else
#define LOG2_E 1.4426950408889634
#define SQRT_HALF 0.7071067811865476
#define SQRT_2 1.4142135623730951
#define SQRT_2PI 2.5066282746310007
#define INV_SQRT_2PI 0.3989422804014327
#define LN2_HIGH 0.6931471805598903
#define LN2_LOW 5.497923018708371e-14
#define GELU_LINEAR_HIGH 1.5957691216057306
#define GELU_LINEAR_LOW 1.223515168339221e-16
#define GELU_CUBIC_HIGH 0.07135481627260024
#define GELU_CUBIC_LOW 1.3260272815998925e-17

/* (e^r - 1 - r) / r^2, |r| <= ln(2)/2: degree 10; e^r - 1 within 2^-60.7. */
static const real EXPM1_REDUCED[] = {
    0.5,
    0.1666666666666667,
    0.04166666666666667,
    0.008333333333326136,
    0.0013888888888883748,
    0.00019841269874820627,
    2.4801587325547743e-05,
    2.7557255400206422e-06,
    2.75572736431103e-07,
    2.5105217004720745e-08,
    2.0914686968086876e-09,
};

/* (2 atanh(s) - 2 s) / s^3 in s^2, |s| <= 1/3: degree 9; 2 atanh(s) within 2^-57.5. */
static const real LOG1P_REDUCED[] = {
    0.6666666666666666,
    0.40000000000014585,
    0.2857142856710876,
    0.22222222717427864,
    0.18181789436132859,
    0.15385570064958623,
    0.13314144209654935,
    0.12001072809590713,
    0.08800738486144674,
    0.1616404561194353,
};

/* erf(x) / x - 1 in x^2, |x| <= ERF_SMALL: degree 10; erf(x) within 2^-60.1. */
#define ERF_SMALL ((real)0.75)
static const real ERF_REDUCED[] = {
    0.1283791670955126,
    -0.37612638903183715,
    0.11283791670952596,
    -0.026866170644428485,
    0.005223977615420539,
    -0.0008548326188759752,
    0.00012055289567541706,
    -1.4924196305569617e-05,
    1.643068417974155e-06,
    -1.5940066854661717e-07,
    1.1472499701094691e-08,
};

/* (2 + m A') / B = 1 / tail(m) - sqrt(2 pi) m, tail(m) = e^(m^2/2) Phi(-m), 0 <= m <= NORMAL_TAIL_BOUND:
 * degree 10 over 11, all terms positive; tail(m) within 2^-60.3. */
#define NORMAL_TAIL_BOUND ((real)37.8)
static const real NORMAL_TAIL_A[] = {
    2.613777605268099,
    1.7498179294406908,
    0.7660669517282526,
    0.23938137898451245,
    0.05533269795342995,
    0.009541241391503719,
    0.001210307872374179,
    0.00010822641723242979,
    6.1855000350241105e-06,
    1.7294730351982998e-07,
};
static const real NORMAL_TAIL_B[] = {
    1.0,
    1.7623183791466845,
    1.5409011054479718,
    0.8680118310292381,
    0.34697287234299035,
    0.10285596403759986,
    0.023025434537147876,
    0.0038923427462147987,
    0.0004877782992198082,
    4.33140856444774e-05,
    2.4676574897104548e-06,
    6.899599165393695e-08,
};
#endif
