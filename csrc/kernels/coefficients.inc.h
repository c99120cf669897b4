/* Constants and polynomial tables of vmath.inc.h, ascending powers. Written by coefficients.py: edit that. */
#if FG_REAL_BITS == 32
#define LOG2_E 1.442695f
#define LN2_HIGH 0.69314575f
#define LN2_LOW 1.4286068e-06f
#define SQRT_HALF 0.70710677f
#define INV_SQRT_2PI 0.3989423f
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

/* e^(x^2) erfc(x), 0 <= x <= ERFCX_BOUND: degree 4 over 5, all terms positive; within 2^-27.0. */
#define ERFCX_BOUND ((real)9.5)
static const real ERFCX_NUMERATOR[] = {
    1.0f,
    1.2444665f,
    0.7381847f,
    0.23244685f,
    0.033507142f,
};
static const real ERFCX_DENOMINATOR[] = {
    1.0f,
    2.3728464f,
    2.4156437f,
    1.3376856f,
    0.4120261f,
    0.059389208f,
};
#else
#define LOG2_E 1.4426950408889634
#define LN2_HIGH 0.6931471805598903
#define LN2_LOW 5.497923018708371e-14
#define SQRT_HALF 0.7071067811865476
#define INV_SQRT_2PI 0.3989422804014327
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

/* e^(x^2) erfc(x), 0 <= x <= ERFCX_BOUND: degree 10 over 11, all terms positive; within 2^-58.5. */
#define ERFCX_BOUND ((real)26.75)
static const real ERFCX_NUMERATOR[] = {
    1.0,
    2.3158178557497795,
    2.66102263863478,
    1.9585618700256642,
    1.0126013498298987,
    0.38240198468499914,
    0.10665173967370271,
    0.021710860966538615,
    0.003097577184965522,
    0.00028145746226801904,
    1.2502435486922136e-05,
};
static const real ERFCX_DENOMINATOR[] = {
    1.0,
    3.4441970228452923,
    5.5473828065857935,
    5.526168816099336,
    3.791739087816894,
    1.886589289384256,
    0.6967811882929867,
    0.1917693628376136,
    0.03873093431349714,
    0.0055013926048065025,
    0.0004988703628647863,
    2.215998992448185e-05,
};
#endif
