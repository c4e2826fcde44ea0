/* SPDX-License-Identifier: MIT */
/* gnuplot's SVG as a part of our page: without header, script hooks and empty groups, and with
 * colours that the page's style sheet decides, so that one drawing serves light and dark.
 *
 * Colours travel through gnuplot as numbers that nobody would choose: red 1, green 0, blue N
 * becomes var(--cN). Black becomes currentColor, white the page's own ground. */
#ifndef DSMOE_REPORT_SVG_H
#define DSMOE_REPORT_SVG_H

#include "core/buf.h"
#include "dsmoe/status.h"

/* What colour N of the page is called in a gnuplot script: the text of "lc rgb '#…'". */
#define DSM_SVG_COLOUR "#0100%02x"

/* Append a drawing as an <svg> element that fills the width it is given; label (plain text) is what
 * a screen reader says. The markers that drawings share, gnuplot's <defs>, are appended to `shared`
 * instead if that is not NULL, once for a page. DSM_EFORMAT: not gnuplot's SVG. */
dsm_status dsm_svg_dress(dsm_buf *out, const dsm_buf *raw, const char *label, dsm_buf *shared,
                         dsm_err *err);

#endif
