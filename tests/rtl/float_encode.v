// A float cast as hardware does it: IEEE 754 binary in, a narrower float out, rounded to nearest, ties to even.
//
// Purely combinational. The source's bias must be at least the target's: subnormal inputs then need no normaliser.
// BUG plants one mistake, so that a test can show that the vectors find it; a real unit has none of that.
module float_encode #(
  parameter SOURCE_EXPONENT = 8,
  parameter SOURCE_MANTISSA = 23,
  parameter TARGET_EXPONENT = 4,
  parameter TARGET_MANTISSA = 3,
  parameter [15:0] LARGEST = 16'h7e,   // code of the largest finite value
  parameter [15:0] OVERFLOW = 16'h7e,  // what larger values and infinities become: LARGEST, infinity or NaN
  parameter [15:0] NAN = 16'h7f,
  parameter BUG = 0
) (
  input  wire [SOURCE_EXPONENT+SOURCE_MANTISSA:0] bits,
  output wire [TARGET_EXPONENT+TARGET_MANTISSA:0] code
);
  localparam BUG_TIES_AWAY = 1;           // a tie goes away from zero
  localparam BUG_FLUSH = 2;               // subnormal results become zero
  localparam BUG_OVERFLOW_TRUNCATED = 3;  // overflow is decided on the truncated value: wrong where it saturates
  localparam BUG_OVERFLOW_EXACT = 4;      // overflow is decided on the exact value: wrong where it does not
  localparam BUG_LOST_STICKY = 5;         // the sticky bit sees two bits only
  localparam BUG_ZERO_SIGN = 6;           // -0 becomes +0
  localparam BUG_NAN_PAYLOAD = 7;         // a NaN's mantissa is truncated: it may become infinity or a number

  localparam signed [31:0] BIAS_DIFFERENCE = (1 << (TARGET_EXPONENT - 1)) - (1 << (SOURCE_EXPONENT - 1));
  localparam FRACTION = TARGET_MANTISSA + 2;  // further right there is nothing left but the sticky bit
  localparam WIDTH = SOURCE_EXPONENT + TARGET_MANTISSA + 2;

  wire sign = bits[SOURCE_EXPONENT+SOURCE_MANTISSA];
  wire [SOURCE_EXPONENT-1:0] field = bits[SOURCE_EXPONENT+SOURCE_MANTISSA-1:SOURCE_MANTISSA];
  wire [SOURCE_MANTISSA-1:0] mantissa = bits[SOURCE_MANTISSA-1:0];
  wire is_nan = &field & |mantissa;
  wire is_infinite = &field & ~|mantissa;
  wire hidden = |field;

  // Where the value stands among the target's binades; below 1 it is subnormal there.
  wire [SOURCE_EXPONENT-1:0] binade = hidden ? field : {{(SOURCE_EXPONENT-1){1'b0}}, 1'b1};
  wire signed [31:0] exponent = $signed({{(32-SOURCE_EXPONENT){1'b0}}, binade}) + BIAS_DIFFERENCE;
  wire subnormal = exponent < 1;
  wire [31:0] shortfall = subnormal ? 32'd1 - exponent : 32'd0;
  wire [31:0] shift = shortfall > FRACTION ? FRACTION : shortfall;

  // kept . guard sticky
  wire [SOURCE_MANTISSA+FRACTION:0] aligned = {hidden, mantissa, {FRACTION{1'b0}}} >> shift;
  wire [TARGET_MANTISSA:0] kept = aligned[SOURCE_MANTISSA+FRACTION:SOURCE_MANTISSA+2];
  wire guard = aligned[SOURCE_MANTISSA+1];
  wire sticky = BUG == BUG_LOST_STICKY ? |aligned[SOURCE_MANTISSA:SOURCE_MANTISSA-1] : |aligned[SOURCE_MANTISSA:0];
  wire round_up = BUG == BUG_TIES_AWAY ? guard : guard & (sticky | kept[0]);

  // The hidden bit and a carry out of the mantissa both count up the exponent field: one adder.
  wire [31:0] scaled = subnormal ? 32'd0 : (exponent - 32'd1) << TARGET_MANTISSA;
  wire [WIDTH-1:0] truncated = scaled[WIDTH-1:0] + {{(WIDTH-TARGET_MANTISSA-1){1'b0}}, kept};
  wire [WIDTH-1:0] rounded = truncated + {{(WIDTH-1){1'b0}}, round_up};

  wire too_large = BUG == BUG_OVERFLOW_TRUNCATED ? truncated > LARGEST[WIDTH-1:0]
                 : BUG == BUG_OVERFLOW_EXACT ? {truncated, guard | sticky} > {LARGEST[WIDTH-1:0], 1'b0}
                 : rounded > LARGEST[WIDTH-1:0];
  localparam MAGNITUDE = TARGET_EXPONENT + TARGET_MANTISSA;
  wire [MAGNITUDE-1:0] nan_code = BUG == BUG_NAN_PAYLOAD
      ? {{TARGET_EXPONENT{1'b1}}, mantissa[SOURCE_MANTISSA-1:SOURCE_MANTISSA-TARGET_MANTISSA]} : NAN[MAGNITUDE-1:0];
  wire [MAGNITUDE-1:0] magnitude = is_nan ? nan_code
                                 : is_infinite | too_large ? OVERFLOW[MAGNITUDE-1:0]
                                 : BUG == BUG_FLUSH && ~|rounded[WIDTH-1:TARGET_MANTISSA] ? {MAGNITUDE{1'b0}}
                                 : rounded[MAGNITUDE-1:0];
  assign code = {BUG == BUG_ZERO_SIGN ? sign & |magnitude : sign, magnitude};
endmodule
