// A float of 8 bits to IEEE 754 binary32, exactly.
//
// Purely combinational. BUG plants one mistake, numbered as in float_encode.v.
module float_decode #(
  parameter SOURCE_EXPONENT = 4,
  parameter SOURCE_MANTISSA = 3,
  parameter IEEE_SPECIALS = 0,  // 1: the top binade holds infinity and NaNs; 0: all ones is NaN, there is no infinity
  parameter BUG = 0
) (
  input  wire [SOURCE_EXPONENT+SOURCE_MANTISSA:0] code,
  output wire [31:0] bits
);
  localparam BUG_FLUSH = 2;        // subnormal inputs become zero
  localparam BUG_ZERO_SIGN = 6;    // -0 becomes +0
  localparam BUG_NAN_PAYLOAD = 7;  // a NaN's mantissa is copied as it is: it may be signalling

  localparam BIAS_DIFFERENCE = 128 - (1 << (SOURCE_EXPONENT - 1));

  wire sign = code[SOURCE_EXPONENT+SOURCE_MANTISSA];
  wire [SOURCE_EXPONENT-1:0] field = code[SOURCE_EXPONENT+SOURCE_MANTISSA-1:SOURCE_MANTISSA];
  wire [SOURCE_MANTISSA-1:0] mantissa = code[SOURCE_MANTISSA-1:0];
  wire special = IEEE_SPECIALS != 0 ? &field : &field & &mantissa;
  wire is_nan = special & |mantissa;
  wire is_zero = ~|field & ~|mantissa;

  // A subnormal value is shifted until its first one is the hidden bit.
  reg [SOURCE_MANTISSA:0] significand;
  reg [7:0] exponent;
  integer place;
  always @* begin
    significand = {|field, mantissa};
    exponent = (|field ? {{(8-SOURCE_EXPONENT){1'b0}}, field} : 8'd1) + BIAS_DIFFERENCE[7:0];
    for (place = 0; place < SOURCE_MANTISSA; place = place + 1)
      if (!significand[SOURCE_MANTISSA]) begin
        significand = significand << 1;
        exponent = exponent - 8'd1;
      end
  end

  wire [22:0] copied = {mantissa, {(23-SOURCE_MANTISSA){1'b0}}};
  wire [22:0] payload = IEEE_SPECIALS != 0 ? copied | 23'h400000 : 23'h400000;
  wire [30:0] finite = {exponent, significand[SOURCE_MANTISSA-1:0], {(23-SOURCE_MANTISSA){1'b0}}};
  wire [30:0] magnitude = is_nan ? {8'hff, BUG == BUG_NAN_PAYLOAD ? copied : payload}
                        : special ? 31'h7f800000
                        : is_zero || (BUG == BUG_FLUSH && ~|field) ? 31'h0
                        : finite;
  assign bits = {BUG == BUG_ZERO_SIGN ? sign & |magnitude : sign, magnitude};
endmodule
