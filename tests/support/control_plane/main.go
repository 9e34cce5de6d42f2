// Command cluster is a Kubernetes control plane in one binary, for volgate's tests.
//
// The name it is called by decides what it is: kube-apiserver, kube-controller-manager, kube-scheduler, kubelet,
// kube-proxy, etcd, kubectl, or yaml2json. tests/support builds it and makes a link for each name.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	_ "time/tzdata" // time zones of CronJobs

	"go.etcd.io/etcd/server/v3/etcdmain"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // kubectl's ways to log in
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // metrics of client-go
	_ "k8s.io/component-base/metrics/prometheus/version"  // the version metric
	"k8s.io/kubectl/pkg/cmd"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
	"sigs.k8s.io/yaml"
)

func main() {
	switch name := filepath.Base(os.Args[0]); name {
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllermanager.NewControllerManagerCommand()))
	case "kube-scheduler":
		os.Exit(cli.Run(scheduler.NewSchedulerCommand()))
	case "kubelet":
		os.Exit(cli.Run(kubelet.NewKubeletCommand(context.Background())))
	case "kube-proxy":
		os.Exit(cli.Run(proxy.NewProxyCommand()))
	case "etcd":
		etcdmain.Main(os.Args)
	case "kubectl":
		// As in k8s.io/kubernetes/cmd/kubectl: verbosity must be known before the command is built.
		_, _ = logs.GlogSetter(cmd.GetLogVerbosity(os.Args))
		if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
			cmdutil.CheckErr(err)
		}
	case "yaml2json":
		if err := yaml2json(os.Args[1:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "yaml2json:", err)
			os.Exit(1)
		}
	default:
		fmt.Fprintf(os.Stderr, "%q is no name of this binary: call it by a link named kube-apiserver, "+
			"kube-controller-manager, kube-scheduler, kubelet, kube-proxy, etcd, kubectl or yaml2json\n", name)
		os.Exit(2)
	}
}

// line is what yaml2json prints of one document: one of the two fields.
type line struct {
	JSON  json.RawMessage `json:"json,omitempty"`
	Error string          `json:"error,omitempty"`
}

// yaml2json prints one line for each document of in, read with the very code that kubectl reads YAML with. A document
// that cannot be read is one {"error":…} line, and the next one is read all the same. With --strict a duplicate key is
// an error.
func yaml2json(args []string, in io.Reader, out io.Writer) error {
	convert := yaml.YAMLToJSON
	for _, arg := range args {
		if arg != "--strict" {
			return fmt.Errorf("unknown argument %q: the only one is --strict", arg)
		}
		convert = yaml.YAMLToJSONStrict
	}
	buffered := bufio.NewWriter(out)
	encoder := json.NewEncoder(buffered)
	encoder.SetEscapeHTML(false)
	documents := utilyaml.NewYAMLReader(bufio.NewReader(in))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return buffered.Flush()
		}
		if err != nil {
			// The stream itself cannot be split any further.
			return errors.Join(encoder.Encode(line{Error: err.Error()}), buffered.Flush())
		}
		converted, err := convert(document)
		if err == nil {
			err = encoder.Encode(line{JSON: converted})
		}
		if err != nil {
			if err := encoder.Encode(line{Error: err.Error()}); err != nil {
				return err
			}
		}
	}
}
