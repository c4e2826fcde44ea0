# SPDX-License-Identifier: MIT
# Files as bytes in a C source, made again when one of them changes:
#   cmake -DOUT=remote_files.c -DFILES=a.py;b.py -P embed.cmake
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
  "/* Made by cmake/embed.cmake. */\n#include \"formats/remote_files.h\"\n\n${arrays}\n"
  "const dsm_embedded_file dsm_remote_files[] = {\n${rows}};\n"
  "const size_t dsm_n_remote_files = sizeof dsm_remote_files / sizeof *dsm_remote_files;\n")
