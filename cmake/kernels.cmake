# SPDX-License-Identifier: MIT
# Kernels: the truth (ref/, sums in double, no contraction), the same files compiled once more per
# instruction set with another name suffix, the algorithms over micro-kernel tiles (tiled/), compiled
# per instruction set as well, and hand-written files (one per instruction set) in x86/.
# All objects end in DSMOE_KERNEL_OBJECTS.
file(GLOB KERNEL_COMMON CONFIGURE_DEPENDS src/kernels/*.c)
file(GLOB KERNEL_REF CONFIGURE_DEPENDS src/kernels/ref/*.c)
file(GLOB KERNEL_TILED CONFIGURE_DEPENDS src/kernels/tiled/*.c)
file(GLOB KERNEL_AVX2 CONFIGURE_DEPENDS src/kernels/x86/*_avx2.c)
file(GLOB KERNEL_AVX512 CONFIGURE_DEPENDS src/kernels/x86/*_avx512.c)
file(GLOB KERNEL_AMX CONFIGURE_DEPENDS src/kernels/x86/*_amx.c)
file(GLOB KERNEL_STORED_AMX CONFIGURE_DEPENDS src/kernels/x86/*_stored_amx.c) # one precision
list(REMOVE_ITEM KERNEL_AMX ${KERNEL_STORED_AMX})

set(DSMOE_KERNEL_OBJECTS)
macro(dsmoe_kernel_objects name sources flags)
  if(NOT "${sources}" STREQUAL "") # an instruction set may have no hand-written file
    add_library(${name} OBJECT ${sources})
    target_link_libraries(${name} PRIVATE dsmoe_flags)
    target_compile_options(${name} PRIVATE ${flags})
    list(APPEND DSMOE_KERNEL_OBJECTS $<TARGET_OBJECTS:${name}>)
  endif()
endmacro()

set(common_flags)
if(DSMOE_FUZZ)
  set(common_flags -DDSM_NO_X86) # parsers need no fast kernels, and clang 14 lacks some intrinsics
endif()
dsmoe_kernel_objects(kernels_common "${KERNEL_COMMON}" "${common_flags}")
dsmoe_kernel_objects(kernels_ref "${KERNEL_REF}" "-DDSM_VARIANT=ref")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" AND NOT DSMOE_FUZZ)
  set(avx2 -mavx2 -mfma -mf16c)
  set(avx512 ${avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512cd -mprefer-vector-width=512)
  # A loop that the compiler may vectorise need not be one that it can: no warning of clang's.
  set(optimize -O3)
  if(DSMOE_SANITIZE)
    set(optimize -O1) # beyond it the unrolled micro-kernels take the compiler minutes each
  endif()
  set(tier ${optimize} -fopenmp-simd $<$<C_COMPILER_ID:Clang>:-Wno-pass-failed>)
  file(GLOB KERNEL_X86_INIT CONFIGURE_DEPENDS src/kernels/x86/init_x86.c)
  dsmoe_kernel_objects(kernels_x86_init "${KERNEL_X86_INIT}" "")
  dsmoe_kernel_objects(kernels_avx2 "${KERNEL_REF};${KERNEL_TILED};${KERNEL_AVX2}"
    "${tier};${avx2};-DDSM_VARIANT=avx2;-DDSM_FAST_TIER")
  dsmoe_kernel_objects(kernels_avx512 "${KERNEL_REF};${KERNEL_TILED};${KERNEL_AVX512}"
    "${tier};${avx512};-DDSM_VARIANT=avx512;-DDSM_FAST_TIER")
  set_source_files_properties(src/kernels/x86/blocks_avx512.c src/kernels/x86/many_vnni_avx512.c
    PROPERTIES COMPILE_OPTIONS -mavx512vnni)
  set_source_files_properties(src/kernels/x86/many_vnni_avx2.c PROPERTIES COMPILE_OPTIONS -mavxvnni)
  set_source_files_properties(src/kernels/x86/linear_stored_amx.c PROPERTIES
    COMPILE_OPTIONS -mavx512bf16)
  # Once per compute precision: an f32 operand as three bf16, or as one.
  set(amx ${tier} ${avx512} -mamx-tile -mamx-bf16)
  dsmoe_kernel_objects(kernels_amx "${KERNEL_AMX}" "${amx};-DDSM_VARIANT=amx;-DDSM_AMX_SPLITS=3")
  dsmoe_kernel_objects(kernels_amx_bf16 "${KERNEL_AMX};${KERNEL_STORED_AMX}"
    "${amx};-DDSM_VARIANT=amx_bf16;-DDSM_AMX_SPLITS=1")
  set_target_properties(kernels_avx2 kernels_avx512 PROPERTIES DSM_CONTRACT ON) # fused multiply-add
endif()

# The double oracle of the gradient tests: core, the truth and the model, all in double.
function(dsmoe_double_library name)
  set(src ${CMAKE_SOURCE_DIR}/src)
  file(GLOB sources CONFIGURE_DEPENDS
    ${src}/core/*.c ${src}/kernels/*.c ${src}/kernels/ref/*.c ${src}/model/*.c)
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC dsmoe_flags)
  target_compile_definitions(${name} PUBLIC DSM_REAL_DOUBLE DSM_VARIANT=ref)
  target_compile_options(${name} PRIVATE -O2)
endfunction()
