# SPDX-License-Identifier: MIT
# Files as bytes in a C source, made again when one of them changes:
#   cmake -DOUT=x_files.c -DHEADER=folder/x_files.h -DPREFIX=x -DFILES=a;b -P embed.cmake
# makes dsm_x_files[] and dsm_n_x_files, which the header declares (core/embedded.h).
set(arrays "")
set(rows "")
set(n 0)
foreach(path ${FILES})
  get_filename_component(name ${path} NAME)
  file(READ ${path} hex HEX)
  string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND arrays "static const unsigned char file_${n}[] = {\n${bytes}};\n")
  string(APPEND rows "    {\"${name}\", file_${n}, sizeof file_${n}},\n")
  math(EXPR n "${n} + 1")
endforeach()
file(WRITE ${OUT}
  "/* Made by cmake/embed.cmake. */\n#include \"${HEADER}\"\n\n${arrays}\n"
  "const dsm_embedded_file dsm_${PREFIX}_files[] = {\n${rows}};\n"
  "const size_t dsm_n_${PREFIX}_files =\n"
  "    sizeof dsm_${PREFIX}_files / sizeof *dsm_${PREFIX}_files;\n")
