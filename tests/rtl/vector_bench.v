// Runs the rows of a golden file through the right unit and through one with each planted bug.
//
//   vvp bench +vectors=golden/encode/float32/float8_e4m3fn.ocp_sat.vec +rows=4840
//
// prints a line a unit: `bug 1: 126 of 4840 differ, flags 00000002` (bit F of flags: a row with flag F differs).
module vector_bench #(
  parameter DECODE = 0,
  parameter SOURCE_EXPONENT = 8,
  parameter SOURCE_MANTISSA = 23,
  parameter TARGET_EXPONENT = 4,
  parameter TARGET_MANTISSA = 3,
  parameter [15:0] LARGEST = 16'h7e,
  parameter [15:0] OVERFLOW = 16'h7e,
  parameter [15:0] NAN = 16'h7f,
  parameter IEEE_SPECIALS = 0
);
  localparam BUGS = 8;  // the first is none
  localparam MOST_ROWS = 8192;
  localparam SOURCE_BITS = 1 + SOURCE_EXPONENT + SOURCE_MANTISSA;
  localparam TARGET_BITS = DECODE != 0 ? 32 : 1 + TARGET_EXPONENT + TARGET_MANTISSA;

  reg [31:0] words [0:3*MOST_ROWS-1];  // one word a column, three columns a row: input, expected, flag
  reg [SOURCE_BITS-1:0] source;
  wire [TARGET_BITS-1:0] result [0:BUGS-1];

  genvar bug;
  generate
    for (bug = 0; bug < BUGS; bug = bug + 1) begin : unit
      if (DECODE != 0)
        float_decode #(.SOURCE_EXPONENT(SOURCE_EXPONENT), .SOURCE_MANTISSA(SOURCE_MANTISSA),
            .IEEE_SPECIALS(IEEE_SPECIALS), .BUG(bug)) decode (.code(source), .bits(result[bug]));
      else
        float_encode #(.SOURCE_EXPONENT(SOURCE_EXPONENT), .SOURCE_MANTISSA(SOURCE_MANTISSA),
            .TARGET_EXPONENT(TARGET_EXPONENT), .TARGET_MANTISSA(TARGET_MANTISSA),
            .LARGEST(LARGEST), .OVERFLOW(OVERFLOW), .NAN(NAN), .BUG(bug)) encode (.bits(source), .code(result[bug]));
    end
  endgenerate

  reg [8*1024-1:0] path;
  integer rows, row, index;
  integer differences [0:BUGS-1];
  reg [31:0] flags [0:BUGS-1];

  initial begin
    if (!$value$plusargs("vectors=%s", path) || !$value$plusargs("rows=%d", rows) || rows > MOST_ROWS) begin
      $display("usage: +vectors=<file> +rows=<at most %0d>", MOST_ROWS);
      $finish;
    end
    $readmemh(path, words, 0, 3 * rows - 1);
    for (index = 0; index < BUGS; index = index + 1) begin
      differences[index] = 0;
      flags[index] = 0;
    end
    for (row = 0; row < rows; row = row + 1) begin
      source = words[3*row][SOURCE_BITS-1:0];
      #1;
      for (index = 0; index < BUGS; index = index + 1)
        if (result[index] !== words[3*row+1][TARGET_BITS-1:0]) begin
          differences[index] = differences[index] + 1;
          flags[index] = flags[index] | (32'd1 << words[3*row+2][4:0]);
          if (index == 0)
            $display("input %h: expected %h, got %h, flag %h", words[3*row], words[3*row+1], result[0], words[3*row+2]);
        end
    end
    for (index = 0; index < BUGS; index = index + 1)
      $display("bug %0d: %0d of %0d differ, flags %h", index, differences[index], rows, flags[index]);
    $finish;
  end
endmodule
