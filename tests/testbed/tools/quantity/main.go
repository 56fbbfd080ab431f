// Command quantity prints what the parser of Kubernetes makes of many spellings of a quantity, as the
// oracle for stateward's own parser. With the argument `-` it reads spellings from standard input,
// one a line, instead of using the built-in list.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"gopkg.in/inf.v0"
	"k8s.io/apimachinery/pkg/api/resource"
)

type entry struct {
	Input     string  `json:"input"`
	OK        bool    `json:"ok"`
	Canonical *string `json:"canonical"`
	// The value in billionths, which is as fine as a quantity gets.
	Nano *string `json:"nano"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run() error {
	inputs := builtIn()
	if len(os.Args) > 1 && os.Args[1] == "-" {
		inputs = nil
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			inputs = append(inputs, lines.Text())
		}
		if err := lines.Err(); err != nil {
			return err
		}
	}
	out := bufio.NewWriter(os.Stdout)
	seen := map[string]bool{}
	separator := "[\n"
	for _, input := range inputs {
		if seen[input] {
			continue
		}
		seen[input] = true
		line, err := judge(input)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s%s", separator, line)
		separator = ",\n"
	}
	fmt.Fprint(out, "\n]\n")
	return out.Flush()
}

func judge(input string) ([]byte, error) {
	result := entry{Input: input}
	if quantity, err := resource.ParseQuantity(input); err == nil {
		canonical := quantity.String()
		billion := inf.NewDec(1, -9)
		nano := new(inf.Dec).Mul(quantity.AsDec(), billion)
		exact := new(inf.Dec).Round(nano, 0, inf.RoundExact)
		if exact == nil {
			return nil, fmt.Errorf("%q is finer than nano", input)
		}
		text := exact.String()
		result = entry{Input: input, OK: true, Canonical: &canonical, Nano: &text}
	}
	return json.Marshal(result)
}

func builtIn() []string {
	var inputs []string
	add := func(more ...string) { inputs = append(inputs, more...) }

	suffixes := []string{
		"", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
	}
	numbers := []string{
		"0", "1", "2", "5", "7", "8", "10", "16", "99", "100", "999", "1000", "1001", "1023", "1024",
		"1025", "1536", "2048", "0.5", "1.5", "1.25", "2.75", "0.1", "0.001", "0.0001", "1.000", "10.50",
		"3.1415926", "007", "00", "-1", "-0", "-1.5", "+1", "+2.5", ".5", "5.", "-.5", "+5.",
	}
	for _, suffix := range suffixes {
		for _, number := range numbers {
			add(number + suffix)
		}
	}

	for exponent := -12; exponent <= 20; exponent++ {
		for _, number := range []string{"1", "12", "1.5", "-3"} {
			add(fmt.Sprintf("%se%d", number, exponent), fmt.Sprintf("%sE%d", number, exponent))
		}
	}
	// Exponents of many digits are left out: the parser of Kubernetes works on them for minutes.
	add("1e+3", "1E+3", "1e+", "1e-", "1e", "1e03", "1e-03", "1.e3", ".1e3", "1e3.0", "1e 3", "1e3Gi",
		"1e3m", "e3", "E", "1E", "1Ei", "1EE", "1e1e1", "1e-20", "1e-400", "1e400", "1E400", "-1e400",
		"0e0", "0e400", "0e-400", "1e9223372036854775808")

	add("9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
		"9223372036854775806", "18446744073709551615", "18446744073709551616",
		"99999999999999999999", "123456789012345678901234567890", "9223372036854775.807k",
		"9223372036854775807n", "9223372036854775808n", "9223372036854775807m", "9223372036854775807k",
		"9223372036854775807Ki", "7Ei", "7.9Ei", "7.999999999999999999Ei", "8Ei", "-8Ei", "9E", "9.2E",
		"9.223372036854775807E", "9.223372036854775808E", "10E", "8191Pi", "8192Pi", "8388607Ti",
		"8388608Ti", "12345678901234567890Ei", "1000000000000000000", "999999999999999999",
		"0.000000000000000000000000000001E", "0.0000000001E", "1125899906842624Ki")

	add("0.0000000001", "0.0000000009", "0.000000001", "0.0000000011", "0.0000000015", "-0.0000000001",
		"0.1n", "0.5n", "1.1n", "1.9n", "-1.1n", "-0.1n", "0.0001u", "0.0005u", "1.0005u", "1.00001u",
		"0.0000001m", "0.0000005m", "1.0000001m", "1.0000000001", "1.000000000999999999999",
		"123456789.1234567891", "0.1Ki", "0.3Ki", "0.7Mi", "0.0001Gi", "1.1Ki", "1.7Gi", "2.3Ti",
		"0.000000001Ki", "0.0000000001Ki", "0.0000000001Gi", "1.0000000001Gi", "0.1e-8", "0.1e-9", "15e-10",
		"1.5e-9", "0.5Gi", "0.25Gi", "0.125Gi", "1.0Gi", "1.00Gi", "10.0Gi", "100.5Gi", "0.9999Gi", "1.9999Gi")

	add("10Gi", "10240Mi", "10737418240", "10485760Ki", "10000Mi", "10G", "10000M", "1e10", "1e9", "200Gi",
		"1Ti", "1024Gi", "1025Gi", "1023Gi", "4096Gi", "1.5Ti", "1536Gi", "0Gi", "0.0Gi", "0m", "00Gi", "01Gi",
		"001.500Gi", "-10Gi", "--10Gi", "+-10Gi", "-+1", "++1", "1,5Gi", "1_000", "1 Gi", " 1Gi", "1Gi ",
		"\t1Gi", "1Gi\n", "1\u00a0Gi", "\u0661Gi", "1Gi\u0000", "\uff11Gi")

	add("", " ", "+", "-", ".", "-.", "+.", "..", "1..5", "1.5.Gi", "1.2.3", ".Gi", "-Gi", "+Gi", "Gi", "m",
		"k", "n", "i", "Ki", "Mi", "K", "1K", "1KI", "1ki", "1kI", "1gi", "1GI", "1g", "1t", "1p", "1MI", "1mi",
		"1Mb", "1MB", "10GB", "10Gib", "10GiB", "10gb", "10B", "10b", "1b", "1Bi", "1ni", "1ui", "1mi", "1ei",
		"1Zi", "1Z", "1Yi", "1Y", "1y", "1h", "1da", "1d", "1U", "1N", "1\u00b5", "1\u03bcm", "1kk", "1km", "1GiGi", "1Gi1",
		"1G1", "1Gi.5", "1G.", "1iG", "Gi1", "0x1", "0x1Gi", "0b1", "0o7", "1x", "1f", "1%", "50%", "1/2", "1:2",
		"inf", "Inf", "-Inf", "NaN", "nan", "infinity", "null", "true", "nil", "ten", "one", "\"1Gi\"", "'1Gi'",
		"1Gi;", "$1", "1$", "#1", "1#", "1\u2009Gi", "\u22121Gi", "1e\u22123", "1e3e", "1E3E", "1E3Ei", "1Ee3", "1Eie3", "1me3",
		"1ke1", "1e0x1", "1e0.5", "1e--1", "1e+-1", "1e++1")
	return inputs
}
