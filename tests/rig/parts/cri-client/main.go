// cri-client pulls images over one connection to the container runtime, the way the kubelet does,
// and keeps every byte of both directions.
//
// Usage: cri-client SOCKET FOLDER
//
// In: a batch of calls per line on standard input, as JSON. Out: what each was answered, a line per
// batch; when the input ends, the bytes in FOLDER/to-runtime and FOLDER/to-kubelet. The calls of a
// batch are made all at once. The bytes are copied inside of this process, so that nothing stands
// between it and the runtime.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

type call struct {
	Image     string `json:"image"`
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	UID       string `json:"uid"`
	User      string `json:"user"`
	Password  string `json:"password"`
	// Bytes of an annotation that makes the request larger.
	Padding int `json:"padding"`
}

type answer struct {
	Code    uint32 `json:"code"`
	Message string `json:"message"`
}

type report struct {
	Answers   []answer `json:"answers"`
	ToRuntime int      `json:"to_runtime"`
	ToKubelet int      `json:"to_kubelet"`
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: cri-client SOCKET FOLDER")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "cri-client:", err)
		os.Exit(1)
	}
}

func run(socket, folder string) error {
	tee := &tee{}
	dial := func(ctx context.Context, _ string) (net.Conn, error) { return tee.dial(ctx, socket) }
	connection, err := grpc.NewClient("passthrough:///cri",
		grpc.WithContextDialer(dial),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	if err := connected(connection); err != nil {
		return err
	}
	batches, reports := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	images := cri.NewImageServiceClient(connection)
	for {
		var batch []call
		if err := batches.Decode(&batch); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		answers := pull(images, batch)
		toRuntime, toKubelet := tee.lengths()
		if err := reports.Encode(report{answers, toRuntime, toKubelet}); err != nil {
			return err
		}
	}
	if err := connection.Close(); err != nil {
		return err
	}
	toRuntime, toKubelet, err := tee.bytes()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "to-runtime"), toRuntime, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "to-kubelet"), toKubelet, 0o600)
}

// connected waits until the runtime has greeted, so that the connection is as old as it seems.
func connected(connection *grpc.ClientConn) error {
	connection.Connect()
	for state := connection.GetState(); state != connectivity.Ready; state = connection.GetState() {
		if state == connectivity.TransientFailure {
			return errors.New("the runtime does not accept the connection")
		}
		connection.WaitForStateChange(context.Background(), state)
	}
	return nil
}

func pull(images cri.ImageServiceClient, batch []call) []answer {
	answers := make([]answer, len(batch))
	var all sync.WaitGroup
	for i, call := range batch {
		all.Go(func() {
			_, err := images.PullImage(context.Background(), request(call))
			answers[i] = answer{uint32(status.Code(err)), status.Convert(err).Message()}
		})
	}
	all.Wait()
	return answers
}

func request(call call) *cri.PullImageRequest {
	request := &cri.PullImageRequest{
		Image: &cri.ImageSpec{Image: call.Image, UserSpecifiedImage: call.Image},
		SandboxConfig: &cri.PodSandboxConfig{
			Metadata: &cri.PodSandboxMetadata{
				Name:      call.Pod,
				Uid:       call.UID,
				Namespace: call.Namespace,
			},
		},
	}
	if call.Password != "" {
		request.Auth = &cri.AuthConfig{Username: call.User, Password: call.Password}
	}
	if call.Padding > 0 {
		padding := map[string]string{"padding": strings.Repeat("padding ", call.Padding/8)}
		request.SandboxConfig.Annotations = padding
	}
	return request
}
